// pgx: types in text and binary, prepared statements, batches, transactions, errors, cancel, COPY, notifications.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

var background = context.Background()

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func same(got, wanted any) {
	if !reflect.DeepEqual(got, wanted) {
		panic(fmt.Sprintf("got %v, wanted %v", got, wanted))
	}
}

func code(err error) string {
	var fields *pgconn.PgError
	if errors.As(err, &fields) {
		return fields.Code
	}
	return fmt.Sprint(err)
}

func ask[T any](c *pgx.Conn, sql string, arguments ...any) T {
	var out T
	must(c.QueryRow(background, sql, arguments...).Scan(&out))
	return out
}

func roundTrip[T any](c *pgx.Conn, kind string, values ...T) {
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		for _, value := range values {
			same(ask[T](c, "SELECT $1::"+kind, mode, value), value)
		}
	}
}

var checks = []struct {
	name string
	run  func(c *pgx.Conn)
}{
	{"types", func(c *pgx.Conn) {
		roundTrip(c, "bool", true, false)
		roundTrip(c, "int4", int32(0), int32(-2147483648))
		roundTrip(c, "int8", int64(9223372036854775807))
		roundTrip(c, "float8", 0.1, 1e300)
		roundTrip(c, "text", "", "quote ' and \\ äöü 世界 😀")
		roundTrip(c, "bytea", []byte{0, 1, 255})
		roundTrip(c, "timestamptz", time.Date(2024, 2, 29, 12, 30, 0, 123456000, time.Local))
		roundTrip(c, "int4[]", []int32{1, 2, 3})
		roundTrip(c, "text[]", []string{"a b", "quote \" and \\"})
		roundTrip(c, "interval", pgtype.Interval{Months: 1, Days: 2, Microseconds: 3, Valid: true})
		roundTrip(c, "date", pgtype.Date{Time: time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), Valid: true})
		roundTrip(c, "uuid", pgtype.UUID{Bytes: [16]byte{1, 2, 15: 3}, Valid: true})
		same(ask[map[string]any](c, "SELECT $1::jsonb", map[string]any{"a": "x"}), map[string]any{"a": "x"})
		var number pgtype.Numeric
		must(number.Scan("123456789012345678901234567890.0987654321"))
		same(ask[string](c, "SELECT $1::numeric::text", number), "123456789012345678901234567890.0987654321")
		same(ask[*string](c, "SELECT NULL::text"), (*string)(nil))
	}},
	{"preparedStatements", func(c *pgx.Conn) {
		statement, err := c.Prepare(background, "sum", "SELECT $1::int + $2::int AS sum")
		must(err)
		same(statement.ParamOIDs, []uint32{23, 23})
		same(statement.Fields[0].Name, "sum")
		for n := int32(0); n < 5; n++ {
			same(ask[int32](c, "sum", n, n), 2*n)
		}
		must(c.Deallocate(background, "sum"))
	}},
	{"batches", func(c *pgx.Conn) {
		batch := &pgx.Batch{}
		for n := 0; n < 200; n++ {
			batch.Queue("SELECT $1::int", n)
		}
		results := c.SendBatch(background, batch)
		for n := 0; n < 200; n++ {
			var got int
			must(results.QueryRow().Scan(&got))
			same(got, n)
		}
		must(results.Close())
	}},
	{"transactions", func(c *pgx.Conn) {
		_, err := c.Exec(background, "DROP TABLE IF EXISTS go_t; CREATE TABLE go_t (a int PRIMARY KEY)")
		must(err)
		must(pgx.BeginFunc(background, c, func(tx pgx.Tx) error {
			_, err := tx.Exec(background, "INSERT INTO go_t VALUES (1)")
			must(err)
			inner, err := tx.Begin(background)
			must(err)
			_, err = inner.Exec(background, "INSERT INTO go_t VALUES ($1)", 1)
			same(code(err), "23505")
			must(inner.Rollback(background))
			return nil
		}))
		same(ask[int](c, "SELECT count(*) FROM go_t"), 1)
		tx, err := c.BeginTx(background, pgx.TxOptions{IsoLevel: pgx.Serializable, AccessMode: pgx.ReadOnly,
			DeferrableMode: pgx.Deferrable})
		must(err)
		_, err = tx.Exec(background, "INSERT INTO go_t VALUES (2)")
		same(code(err), "25006")
		must(tx.Rollback(background))
	}},
	{"errors", func(c *pgx.Conn) {
		for sql, wanted := range map[string]string{"SELEC 1": "42601", "SELECT * FROM nowhere": "42P01",
			"SELECT 1/0": "22012", "SELECT 'x'::int": "22P02"} {
			_, err := c.Exec(background, sql)
			same(code(err), wanted)
			_, err = c.Exec(background, sql, pgx.QueryExecModeSimpleProtocol)
			same(code(err), wanted)
		}
	}},
	{"cancel", func(c *pgx.Conn) {
		same(c.PgConn().CancelRequest(background), nil) // nothing runs: harmless
		soon, stop := context.WithTimeout(background, 200*time.Millisecond)
		defer stop()
		_, err := c.Exec(soon, "SELECT count(*) FROM generate_series(1, 1000000000)")
		if !errors.Is(err, context.DeadlineExceeded) {
			panic(fmt.Sprint("not cancelled: ", err))
		}
	}},
	{"copy", func(c *pgx.Conn) {
		_, err := c.Exec(background, "DROP TABLE IF EXISTS go_copy; "+
			"CREATE TABLE go_copy (a int, b text, c timestamptz, d int[], e jsonb, f numeric)")
		must(err)
		var rows [][]any
		for n := 0; n < 5000; n++ {
			rows = append(rows, []any{n, fmt.Sprint("row ", n), time.Unix(int64(n), 0), []int32{int32(n)}, map[string]int{"n": n},
				float64(n) / 4})
		}
		count, err := c.CopyFrom(background, pgx.Identifier{"go_copy"}, []string{"a", "b", "c", "d", "e", "f"},
			pgx.CopyFromRows(rows)) // in binary form
		must(err)
		same(count, int64(5000))
		same(ask[string](c, "SELECT count(*) || ' ' || sum(f) FROM go_copy"), "5000 3124375.00")
		var out strings.Builder
		_, err = c.PgConn().CopyTo(background, &out, "COPY (SELECT a, b FROM go_copy WHERE a < 2 ORDER BY a) TO STDOUT")
		must(err)
		same(out.String(), "0\trow 0\n1\trow 1\n")
	}},
	{"notifications", func(c *pgx.Conn) {
		_, err := c.Exec(background, "LISTEN told; NOTIFY told, 'hello'")
		must(err)
		soon, stop := context.WithTimeout(background, 20*time.Second)
		defer stop()
		heard, err := c.WaitForNotification(soon)
		must(err)
		same(heard.Payload, "hello")
	}},
	{"pool", func(_ *pgx.Conn) {
		pool, err := pgxpool.New(background, "")
		must(err)
		defer pool.Close()
		done := make(chan error)
		for n := 0; n < 40; n++ {
			go func() {
				var got int
				err := pool.QueryRow(background, "SELECT $1::int", n).Scan(&got)
				if err == nil && got != n {
					err = fmt.Errorf("got %d, wanted %d", got, n)
				}
				done <- err
			}()
		}
		for n := 0; n < 40; n++ {
			must(<-done)
		}
	}},
	{"metadata", func(c *pgx.Conn) {
		loaded, err := c.LoadTypes(background, []string{"int4", "text"}) // its query over pg_type
		must(err)
		_ = loaded
		rows, err := c.Query(background, "SELECT oid, relname, relkind FROM pg_class WHERE relname = 'pg_type'")
		must(err)
		found, err := pgx.CollectOneRow(rows, pgx.RowToMap)
		must(err)
		same(found["relname"], "pg_type")
	}},
}

func main() {
	failed := 0
	for _, check := range checks {
		func() {
			defer func() {
				if why := recover(); why != nil {
					failed++
					fmt.Printf("FAIL %s: %s\n", check.name, strings.ReplaceAll(fmt.Sprint(why), "\n", " "))
				} else {
					fmt.Println("ok", check.name)
				}
			}()
			connection, err := pgx.Connect(background, "")
			must(err)
			defer connection.Close(background)
			check.run(connection)
		}()
	}
	if failed > 0 {
		os.Exit(1)
	}
}
