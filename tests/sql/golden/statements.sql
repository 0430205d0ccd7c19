SELECT 1
SELECT 1 + 2 * 3 AS x, 7 / 2, 7 % 3, -5
SELECT 'a' || 'b', 'it''s'
SELECT id, name FROM emp ORDER BY id
SELECT * FROM dept ORDER BY id DESC
SELECT name FROM emp WHERE salary > 100 ORDER BY name
SELECT name FROM emp WHERE id = 2
SELECT e.name, d.name FROM emp e JOIN dept d ON e.dept = d.id ORDER BY e.id
SELECT e.name, d.name FROM emp e LEFT JOIN dept d ON e.dept = d.id ORDER BY e.id
SELECT e.name, d.name FROM emp e RIGHT JOIN dept d ON e.dept = d.id ORDER BY d.id, e.id
SELECT e.name, d.name FROM emp e FULL JOIN dept d ON e.dept = d.id ORDER BY d.id, e.id
SELECT count(*) FROM emp, dept
SELECT count(*) FROM emp CROSS JOIN dept
SELECT id FROM emp NATURAL JOIN (SELECT 2 AS id) s
SELECT * FROM (SELECT 1 AS a, 2 AS b) x JOIN (SELECT 1 AS a, 3 AS c) y USING (a)
SELECT x.a, y.c FROM (SELECT 1 AS a) x FULL JOIN (SELECT 2 AS a, 5 AS c) y USING (a) ORDER BY a
SELECT dept, count(*), sum(salary) FROM emp GROUP BY dept ORDER BY dept
SELECT dept, count(*) FROM emp GROUP BY 1 HAVING count(*) > 1
SELECT d.id, d.name, count(e.id) FROM dept d LEFT JOIN emp e ON e.dept = d.id GROUP BY d.id ORDER BY d.id
SELECT count(DISTINCT dept), count(dept), count(*) FROM emp
SELECT min(salary), max(salary), min(name), max(v) FROM emp, num
SELECT salary FROM emp ORDER BY salary
SELECT salary FROM emp ORDER BY salary DESC
SELECT salary FROM emp ORDER BY salary NULLS FIRST
SELECT v FROM num ORDER BY v, k
SELECT DISTINCT t FROM num ORDER BY t
SELECT count(*) FROM num WHERE v = 9.5
SELECT k FROM num WHERE v > 9.5 ORDER BY k
SELECT k FROM num WHERE v = 10 ORDER BY k
SELECT k FROM num WHERE v IN (9.5, 100) ORDER BY k
SELECT DISTINCT v FROM num WHERE v < 10
SELECT name FROM emp WHERE id IN (1, 3) ORDER BY 1
SELECT name FROM emp WHERE id NOT IN (1, 3) ORDER BY 1
SELECT name FROM emp WHERE dept IN (SELECT id FROM dept WHERE name = 'dev') ORDER BY 1
SELECT name FROM emp e WHERE EXISTS (SELECT 1 FROM dept d WHERE d.id = e.dept AND d.name = 'sales')
SELECT name, (SELECT d.name FROM dept d WHERE d.id = e.dept) FROM emp e ORDER BY e.id
SELECT (SELECT id FROM emp)
SELECT name FROM emp WHERE salary >= ALL (SELECT salary FROM emp WHERE salary IS NOT NULL)
SELECT name FROM emp WHERE salary > ANY (SELECT 100) ORDER BY id
SELECT name FROM emp WHERE hired BETWEEN '2020-01-01' AND '2021-12-31' ORDER BY id
SELECT name FROM emp WHERE name LIKE 'b%'
SELECT name FROM emp WHERE name ILIKE 'B%'
SELECT name FROM emp WHERE name ~ '^[ab]' ORDER BY 1
SELECT name FROM emp WHERE salary IS NULL
SELECT name FROM emp WHERE salary IS DISTINCT FROM 100 ORDER BY id
SELECT CASE WHEN salary > 150 THEN 'high' WHEN salary > 0 THEN 'low' ELSE 'none' END FROM emp ORDER BY id
SELECT CASE dept WHEN 1 THEN 'one' END FROM emp ORDER BY id
SELECT coalesce(salary, 0), nullif(dept, 2), greatest(salary, 150), least(salary, 150, NULL) FROM emp ORDER BY id
SELECT 1 UNION SELECT 2 ORDER BY 1
SELECT 1 UNION ALL SELECT 1
SELECT dept FROM emp INTERSECT SELECT id FROM dept ORDER BY 1
SELECT id FROM dept EXCEPT SELECT dept FROM emp
SELECT 1 AS x UNION SELECT 2.5 ORDER BY x
SELECT a FROM (VALUES (1), (1), (2)) v(a) INTERSECT ALL SELECT a FROM (VALUES (1), (1), (3)) w(a)
SELECT a FROM (VALUES (1), (1), (2)) v(a) EXCEPT ALL SELECT 1 ORDER BY 1
VALUES (1, 'a'), (2, 'b')
SELECT * FROM (VALUES (1, 'a'), (2, NULL)) AS v(n, s) ORDER BY n DESC
SELECT id FROM emp ORDER BY id LIMIT 2
SELECT id FROM emp ORDER BY id LIMIT 2 OFFSET 1
SELECT id FROM emp ORDER BY id OFFSET 3
SELECT id FROM emp ORDER BY id LIMIT NULL
SELECT id FROM emp LIMIT -1
WITH s AS (SELECT dept, count(*) AS n FROM emp GROUP BY dept) SELECT * FROM s WHERE n > 1
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT sum(n) FROM r
WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS y FROM a) SELECT * FROM a, b
SELECT DISTINCT ON (dept) dept, name FROM emp ORDER BY dept, salary DESC
SELECT name, row_number() OVER (ORDER BY id) FROM emp ORDER BY id
SELECT name, rank() OVER (PARTITION BY dept ORDER BY salary DESC) FROM emp ORDER BY id
SELECT id, sum(salary) OVER (ORDER BY id) FROM emp ORDER BY id
SELECT id, lag(salary) OVER (ORDER BY id), lead(salary, 1, 0) OVER (ORDER BY id) FROM emp ORDER BY id
SELECT count(*) FILTER (WHERE salary > 100) FROM emp
SELECT string_agg(name, ',' ORDER BY name DESC) FROM emp
SELECT array_agg(id ORDER BY id) FROM emp
SELECT ARRAY[1, 2, 3], ARRAY(SELECT id FROM emp ORDER BY id DESC), (ARRAY[10, 20])[2]
SELECT id FROM emp WHERE id = ANY (ARRAY[1, 4]) ORDER BY id
SELECT id FROM emp WHERE id = ANY ('{2,3}') ORDER BY id
SELECT * FROM generate_series(1, 3)
SELECT g, g * 2 FROM generate_series(1, 3) AS g
SELECT generate_series(1, 3)
SELECT unnest(ARRAY['a', 'b'])
SELECT * FROM unnest(ARRAY['x', 'y']) WITH ORDINALITY AS u(v, n)
SELECT a, b FROM pair WHERE (a, b) = (1, 2)
SELECT a, b FROM pair WHERE (a, b) > (1, 1) ORDER BY 1, 2
SELECT a, b FROM pair WHERE (a, b) IN (SELECT 1, 2)
SELECT '12'::integer + 1, CAST('2020-02-29' AS date), 'abc'::varchar(2), 1.5::integer
SELECT true AND NULL, false OR NULL, NOT true, 1 = 1
SELECT upper(name), length(name) FROM emp WHERE id = 1
SELECT 0.1 + 0.2, 1.10 * 3, 10 / 4.0, 2 ^ 3
SELECT sum(v), avg(v) FROM num
SELECT avg(salary) FROM emp
SELECT max(hired), min(hired) FROM emp
SELECT note FROM emp WHERE note = 'x'
SELECT rate + 1 FROM emp WHERE id = 2
SELECT e1.name FROM emp e1, emp e2 WHERE e1.salary < e2.salary ORDER BY e1.id, e2.id
SELECT t.n FROM (SELECT count(*) AS n FROM emp) t
SELECT count(*) FROM emp WHERE (SELECT true)
SELECT name FROM emp ORDER BY length(name), name DESC
SELECT dept AS d FROM emp GROUP BY d ORDER BY d
SELECT salary + 1 AS s FROM emp WHERE salary IS NOT NULL GROUP BY salary + 1 ORDER BY salary + 1
SELECT id FROM emp WHERE active AND NOT (salary > 150) ORDER BY id
SELECT id FROM emp WHERE active IS TRUE AND salary IS NOT NULL ORDER BY id
SELECT -2147483648, 2147483648, 9223372036854775808
SELECT 2147483647 + 1
SELECT 1 / 0
SELECT 'x'::integer
SELECT 99999999999::integer
SELECT nope FROM emp
SELECT e.nope FROM emp e
SELECT x.id FROM emp e
SELECT emp.id FROM emp e
SELECT id FROM emp, dept
SELECT * FROM nothere
SELECT * FROM s.nothere
SELECT nofunc(1)
SELECT upper(1, 2)
SELECT 'a' + 1
SELECT name + 1 FROM emp
SELECT dept, name FROM emp GROUP BY dept
SELECT count(*) FROM emp WHERE count(*) > 1
SELECT sum(count(*)) FROM emp
SELECT * FROM emp e, dept e
SELECT 1 UNION SELECT 'a'
SELECT 1, 2 UNION SELECT 1
SELECT id FROM emp ORDER BY 3
SELECT DISTINCT name FROM emp ORDER BY id
SELECT id FROM emp WHERE name
SELECT CASE WHEN 1 THEN 2 END
SELECT (SELECT 1, 2)
SELECT 1 IN (SELECT 1, 2)
SELECT FROM emp WHERE id < 3
SELECT *
SELECT ARRAY[]
SELECT coalesce(1, 'x')
SELECT 'a'::nosuchtype
SELECT rank() FROM emp
SELECT id FROM emp LIMIT 'x'
SELECT $1
SELECT 1 WHERE 1 = 2
SELECT (1, 2) = (1, 2), ROW(1, 2) < ROW(1, 3)
SELEC 1
SELECT 1 FROM
INSERT INTO dept VALUES (4, 'hr', 5) RETURNING id, name, budget
INSERT INTO dept(id, name) VALUES (5, 'law'), (6, 'lab')
SELECT id, name, budget FROM dept ORDER BY id
INSERT INTO dept VALUES (1, 'dup', 0)
INSERT INTO dept(name) VALUES ('x')
INSERT INTO dept(id) VALUES (9)
INSERT INTO dept(id, nope) VALUES (9, 1)
INSERT INTO dept(id, id) VALUES (9, 1)
INSERT INTO dept(id) VALUES (9, 1)
INSERT INTO dept(id, name) VALUES (9)
INSERT INTO dept VALUES ('x', 'y')
INSERT INTO dept VALUES (7, 'z', 'q')
INSERT INTO dept VALUES (7, 'z', 99999999999.999)
INSERT INTO dept VALUES (7, true, 1)
INSERT INTO emp(id, name, dept) VALUES (10, 'x', 99)
INSERT INTO emp(id, name, salary) VALUES (10, 'x', -1)
INSERT INTO emp(id, name, note) VALUES (10, 'x', 'much too long')
INSERT INTO emp(id, name) VALUES (10, 'eve') RETURNING *
INSERT INTO dept(id, name) SELECT id + 10, name FROM dept WHERE id < 3 RETURNING id
INSERT INTO dept VALUES (1, 'again', 1) ON CONFLICT DO NOTHING
INSERT INTO dept VALUES (1, 'again', 1) ON CONFLICT (id) DO UPDATE SET name = excluded.name, budget = dept.budget + excluded.budget RETURNING *
INSERT INTO dept VALUES (1, 'again', 1) ON CONFLICT (name) DO NOTHING
UPDATE emp SET salary = salary + 1 WHERE id = 1 RETURNING salary
UPDATE emp SET salary = 0 WHERE id = 1
UPDATE emp SET name = NULL WHERE id = 1
UPDATE emp SET nope = 1
UPDATE emp SET (salary, note) = (500, 'n') WHERE id = 2 RETURNING salary, note
UPDATE emp SET salary = d.id * 1000 FROM dept d WHERE emp.dept = d.id AND d.name = 'dev'
SELECT id, salary FROM emp ORDER BY id
UPDATE emp SET dept = 77 WHERE id = 1
UPDATE dept SET id = 1 WHERE id = 2
UPDATE emp SET active = DEFAULT WHERE id = 3 RETURNING active
DELETE FROM dept WHERE id = 2
DELETE FROM emp WHERE id = 10 RETURNING name
DELETE FROM emp USING dept d WHERE emp.dept = d.id AND d.id = 1
SELECT id FROM emp ORDER BY id
DELETE FROM dept WHERE id > 3
SELECT count(*) FROM dept
INSERT INTO emp(id, name) VALUES (20, 'kim') RETURNING (SELECT count(*) FROM dept d WHERE d.id <> emp.id), emp.name || '!'
INSERT INTO emp(id, name, salary) SELECT 30 + g, 'n' || g, g * 10 FROM generate_series(1, 3) g
SELECT id, name, active FROM emp WHERE id > 20 ORDER BY id
INSERT INTO pair VALUES (1, 1, 'again')
INSERT INTO pair VALUES (9, NULL, 'x')
INSERT INTO pair VALUES (1, 1, 'up') ON CONFLICT (a, b) DO UPDATE SET c = excluded.c WHERE pair.a = 1 RETURNING c
INSERT INTO pair AS p VALUES (1, 1, 'up2') ON CONFLICT ON CONSTRAINT pair_pkey DO UPDATE SET c = p.c || excluded.c RETURNING c
UPDATE pair SET b = 1 WHERE a = 1
UPDATE pair SET (a, b) = (5, 6) WHERE a = 2
UPDATE emp e SET salary = (SELECT max(salary) FROM emp) WHERE e.id = 31 RETURNING e.id, e.salary
DELETE FROM emp e WHERE EXISTS (SELECT 1 FROM emp x WHERE x.id = e.id AND x.id > 30)
SELECT id, sum(id) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM emp ORDER BY id
SELECT id, count(*) OVER w, first_value(id) OVER w FROM emp WINDOW w AS (ORDER BY id) ORDER BY id
SELECT ntile(2) OVER (ORDER BY id), id FROM emp ORDER BY id
SELECT a.id FROM emp a JOIN (emp b JOIN dept d ON b.dept = d.id) ON a.id = b.id ORDER BY a.id
SELECT a.id FROM dept a, emp b LEFT JOIN dept c ON b.dept = c.id WHERE a.id = b.dept ORDER BY b.id
SELECT x.* FROM emp x WHERE x.id = 2
SELECT count(*) FROM (SELECT DISTINCT dept FROM emp) s
SELECT (SELECT count(*) FROM emp e WHERE e.dept = d.id) AS n, name FROM dept d ORDER BY n, name
SELECT d.name, (SELECT max(e.salary) FROM emp e WHERE e.dept = d.id) FROM dept d ORDER BY 1
SELECT 1 WHERE NULL
SELECT NULL = NULL, NULL IS NULL, 1 <> 2, 1 != 1
SELECT 'abc' LIKE 'a_c', 'abc' NOT LIKE '%z%', 'a' IN ('a', 'b'), 1 IN (NULL, 2)
SELECT id FROM emp WHERE dept NOT IN (SELECT id FROM dept WHERE id = 1) ORDER BY id
SELECT 1 = ALL (SELECT 1), 1 <> ALL (SELECT 2), 3 > ALL (SELECT NULL::integer)
SELECT substring('hello' FROM 2 FOR 3), position('l' IN 'hello'), trim(both 'x' FROM 'xxaxx'), extract(year FROM date '2020-05-06')
SELECT date '2020-01-31' + 1, date '2020-03-01' - date '2020-02-01', timestamp '2020-01-01 10:00' + interval '1 day'
SELECT round(2.567, 2), abs(-3), mod(7, 4), floor(1.5), ceil(1.2), power(2, 3), sqrt(16)
SELECT CAST(1 AS text) || 'x', 1::text, true::text, '1'::boolean
SELECT concat('a', 1, NULL, true), replace('aXb', 'X', '-'), lower('ABC'), left('hello', 2), repeat('ab', 2)
SELECT 'a' < 'b', 'B' < 'a', 'a' || NULL
SELECT sum(salary) / count(*) FROM emp WHERE salary IS NOT NULL
SELECT dept, string_agg(name, '-' ORDER BY name) FROM emp GROUP BY dept ORDER BY dept NULLS FIRST
SELECT bool_and(active), bool_or(active), every(active) FROM emp
SELECT array_agg(DISTINCT dept) FROM emp WHERE dept IS NOT NULL
SELECT DISTINCT ON (1) dept, id FROM emp ORDER BY 1 DESC, 2
SELECT t.a, t.b FROM (SELECT 1 AS a, 'x' AS b UNION ALL SELECT 2, 'y') t ORDER BY t.a DESC LIMIT 1
(SELECT 1 AS a ORDER BY a LIMIT 1) UNION ALL (SELECT 2) ORDER BY a DESC
SELECT 1 UNION SELECT 2 INTERSECT SELECT 2 ORDER BY 1
SELECT * FROM (SELECT id, row_number() OVER (ORDER BY id DESC) AS r FROM emp) s WHERE r <= 2 ORDER BY r
WITH RECURSIVE t(n, s) AS (VALUES (1, 'a'::text) UNION ALL SELECT n + 1, s || 'b' FROM t WHERE n < 3) SELECT * FROM t
SELECT CASE WHEN id > 100 THEN 1 / 0 ELSE id END FROM emp WHERE id = 2
SELECT id FROM emp WHERE (dept, salary) = (2, 500)
SELECT count(*) FROM emp GROUP BY ()
SELECT max(name) FROM emp HAVING count(*) > 100
SELECT name FROM emp GROUP BY id ORDER BY id LIMIT 1
SELECT sum(DISTINCT dept) FROM emp
SELECT id::text FROM emp WHERE id::text = '2'
SELECT 5 BETWEEN SYMMETRIC 10 AND 1, 5 NOT BETWEEN 1 AND 3
SELECT (ARRAY[1,2,3])[2:3], ARRAY[[1,2],[3,4]], array_length(ARRAY[1,2], 1), 2 = ANY (ARRAY[1,2])
SELECT 1::bigint + 2147483647, 9223372036854775807 + 1
SELECT 1.0::float8 / 3, 'NaN'::float8 > 1, 1e10
SELECT now() IS NOT NULL, current_date IS NOT NULL
SELECT name FROM emp WHERE name OPERATOR(pg_catalog.~) '^(bob)$' COLLATE pg_catalog.default
SELECT 'text'::pg_catalog.regtype, 1::pg_catalog.int8, pg_catalog.format_type(23, NULL)
SELECT pg_catalog.array_to_string(ARRAY(SELECT name FROM emp ORDER BY id LIMIT 2), ', '), 'a'::"char", 'x'::name
SELECT s.i FROM generate_series(1, pg_catalog.array_upper(ARRAY[5, 6], 1)) AS s(i), emp WHERE emp.id = s.i
SELECT CASE 'r' WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' END AS "Type"
SELECT id FROM emp WHERE (note = 'x') IS NOT TRUE ORDER BY id
SELECT e.id FROM emp e, unnest(ARRAY[e.id]) u WHERE u > 2 ORDER BY 1
