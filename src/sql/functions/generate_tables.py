#!/usr/bin/env python3
"""Writes proc_table.def and operator_table.def from the catalog of a PostgreSQL 15 server.

usage: generate_tables.py KEYS PSQL...
  KEYS  file with one implementation key a line (all_implementations() of this folder)
  PSQL  the psql command that reaches the server, e.g. psql -h /tmp -U postgres
"""
import pathlib
import subprocess
import sys

KEY = """case when l.lanname = 'internal' and p.prosrc <> 'aggregate_dummy' and p.prosrc !~ 'range_constructor' then p.prosrc
         else p.proname || '(' || oidvectortypes(p.proargtypes) || ')' end"""

PROC = f"""
with k(key) as (select unnest(string_to_array(:'keys', E'\\n')))
select format('BOP_PROC(%s, "%s", "%s", ''%s'', %s, ''%s'', %s, %s, %s, %s, "%s", "%s")', p.oid, proname,
  replace(k.key, '"', '\\"'), prokind, case when proisstrict then 'true' else 'false' end, provolatile,
  case when proretset then 'true' else 'false' end, provariadic, pronargdefaults, prorettype, proargtypes,
  coalesce((select string_agg(coalesce(nullif(proargnames[i], ''), 'column' || i) || ':' || proallargtypes[i], ' ' order by i)
            from generate_subscripts(proargmodes, 1) i where proargmodes[i] in ('o', 't')), ''))
from pg_proc p join pg_language l on l.oid = prolang join k on k.key = {KEY}
where pronamespace = 'pg_catalog'::regnamespace order by p.oid"""

OPERATOR = f"""
with k(key) as (select unnest(string_to_array(:'keys', E'\\n')))
select format('BOP_OPERATOR("%s", %s, %s, %s, %s)', oprname, oprleft, oprright, oprresult, p.oid)
from pg_operator o join pg_proc p on p.oid = oprcode join pg_language l on l.oid = prolang join k on k.key = {KEY}
where oprnamespace = 'pg_catalog'::regnamespace order by o.oid"""


def query(psql, keys, sql):
    run = subprocess.run([*psql, "-At", "-v", "ON_ERROR_STOP=1", "-v", f"keys={keys}", "-f", "-"], input=sql, text=True,
                         capture_output=True, check=True)
    return run.stdout


def main():
    keys = pathlib.Path(sys.argv[1]).read_text().strip()
    psql = sys.argv[2:]
    here = pathlib.Path(__file__).parent
    (here / "proc_table.def").write_text(
        "// Rows of pg_proc of PostgreSQL 15 that have an implementation here; written by generate_tables.py:\n"
        "// BOP_PROC(oid, name, key, kind, strict, volatility, returns_set, variadic, defaults, result, args, columns)\n"
        + query(psql, keys, PROC))
    (here / "operator_table.def").write_text(
        "// Operators of PostgreSQL 15 over the functions of proc_table.def; written by generate_tables.py:\n"
        "// BOP_OPERATOR(sign, left, right, result, function)\n" + query(psql, keys, OPERATOR))


if __name__ == "__main__":
    main()
