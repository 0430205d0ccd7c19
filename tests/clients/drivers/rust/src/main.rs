// sqlx: types in binary, prepared statements, transactions, errors, cancel, COPY, notifications.
use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions, PgSslMode};
use sqlx::{Connection, Executor, Row};
use std::time::Duration;

type Failure = Box<dyn std::error::Error>;

fn same<T: PartialEq + std::fmt::Debug>(got: T, wanted: T) -> Result<(), Failure> {
    if got == wanted {
        return Ok(());
    }
    Err(format!("got {got:?}, wanted {wanted:?}").into())
}

fn code<T>(result: Result<T, sqlx::Error>) -> String {
    match result {
        Ok(_) => "no error".into(),
        Err(sqlx::Error::Database(e)) => e.code().map(|c| c.to_string()).unwrap_or_default(),
        Err(e) => e.to_string(),
    }
}

macro_rules! round_trip {
    ($c:expr, $kind:expr, $type:ty, $($value:expr),+) => {$(
        let value: $type = $value;
        let got: $type = sqlx::query_scalar(&format!("SELECT $1::{}", $kind)).bind(value.clone()).fetch_one(&mut *$c).await?;
        same(got, value)?;
    )+};
}

async fn types(c: &mut PgConnection) -> Result<(), Failure> {
    round_trip!(c, "bool", bool, true, false);
    round_trip!(c, "int2", i16, -32768);
    round_trip!(c, "int4", i32, 0, -2147483648);
    round_trip!(c, "int8", i64, i64::MAX);
    round_trip!(c, "float4", f32, 1.5);
    round_trip!(c, "float8", f64, 0.1, 1e300);
    round_trip!(c, "text", String, String::new(), "quote ' and \\ äöü 世界 😀".to_string());
    round_trip!(c, "bytea", Vec<u8>, vec![0, 1, 255]);
    round_trip!(c, "date", chrono::NaiveDate, chrono::NaiveDate::from_ymd_opt(2024, 2, 29).unwrap());
    round_trip!(c, "time", chrono::NaiveTime, chrono::NaiveTime::from_hms_micro_opt(23, 59, 59, 999999).unwrap());
    round_trip!(c, "timestamptz", chrono::DateTime<chrono::Utc>, "2024-02-29T12:30:00.123456Z".parse()?);
    round_trip!(c, "uuid", uuid::Uuid, uuid::Uuid::from_u128(7));
    round_trip!(c, "numeric", rust_decimal::Decimal, "12345678901234567890.0987654".parse()?);
    round_trip!(c, "jsonb", serde_json::Value, serde_json::json!({"a": [1, null]}));
    round_trip!(c, "int4[]", Vec<Option<i32>>, vec![Some(1), None, Some(3)]);
    round_trip!(c, "text[]", Vec<String>, vec!["a b".to_string(), "quote \" and \\".to_string()]);
    round_trip!(c, "text", Option<String>, None);
    Ok(())
}

async fn prepared_statements(c: &mut PgConnection) -> Result<(), Failure> {
    for n in 0..5 {
        let row = sqlx::query("SELECT $1::int + $2::int AS sum, 'x' AS t").bind(n).bind(n).fetch_one(&mut *c).await?;
        same(row.get::<i32, _>("sum"), 2 * n)?;
    }
    Ok(())
}

async fn transactions(c: &mut PgConnection) -> Result<(), Failure> {
    c.execute("DROP TABLE IF EXISTS rust_t; CREATE TABLE rust_t (a int PRIMARY KEY)").await?;
    let mut outer = c.begin().await?;
    sqlx::query("INSERT INTO rust_t VALUES (1)").execute(&mut *outer).await?;
    let mut inner = outer.begin().await?;
    same(code(sqlx::query("INSERT INTO rust_t VALUES (1)").execute(&mut *inner).await), "23505".to_string())?;
    inner.rollback().await?;
    outer.commit().await?;
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM rust_t").fetch_one(&mut *c).await?;
    same(count, 1)
}

async fn errors(c: &mut PgConnection) -> Result<(), Failure> {
    for (text, wanted) in [("SELEC 1", "42601"), ("SELECT * FROM nowhere", "42P01"), ("SELECT 1/0", "22012")] {
        same(code(sqlx::query(text).execute(&mut *c).await), wanted.to_string())?;
        same(code(c.execute(text).await), wanted.to_string())?;
    }
    Ok(())
}

async fn stream(c: &mut PgConnection) -> Result<(), Failure> {
    let mut rows = sqlx::query_scalar::<_, i32>("SELECT generate_series(1, 10000)").fetch(c);
    let mut sum = 0i64;
    while let Some(n) = rows.try_next().await? {
        sum += i64::from(n);
    }
    same(sum, 50_005_000)
}

async fn statement_timeout(c: &mut PgConnection) -> Result<(), Failure> {
    c.execute("SET statement_timeout = '100ms'").await?;
    same(code(sqlx::query("SELECT count(*) FROM generate_series(1, 1000000000)").fetch_one(c).await), "57014".to_string())
}

async fn copy(c: &mut PgConnection) -> Result<(), Failure> {
    c.execute("DROP TABLE IF EXISTS rust_copy; CREATE TABLE rust_copy (a int, b text)").await?;
    let mut sink = c.copy_in_raw("COPY rust_copy FROM STDIN (FORMAT csv)").await?;
    for n in 0..1000 {
        sink.send(format!("{n},row {n}\n").into_bytes()).await?;
    }
    same(sink.finish().await?, 1000)?;
    let mut out = Vec::new();
    let mut stream = c.copy_out_raw("COPY (SELECT * FROM rust_copy WHERE a < 2 ORDER BY a) TO STDOUT").await?;
    while let Some(piece) = stream.try_next().await? {
        out.extend_from_slice(&piece);
    }
    same(String::from_utf8(out)?, "0\trow 0\n1\trow 1\n".to_string())
}

async fn notifications(options: PgConnectOptions) -> Result<(), Failure> {
    let pool = PgPoolOptions::new().max_connections(3).connect_with(options).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen("told").await?;
    sqlx::query("SELECT pg_notify('told', 'hello')").execute(&pool).await?;
    let heard = tokio::time::timeout(Duration::from_secs(20), listener.recv()).await??;
    same(heard.payload().to_string(), "hello".to_string())
}

#[tokio::main]
async fn main() {
    let options = PgConnectOptions::new().ssl_mode(PgSslMode::Disable);
    let mut failed = 0;
    macro_rules! check {
        ($name:ident) => {
            let result = match PgConnection::connect_with(&options).await {
                Ok(mut c) => $name(&mut c).await,
                Err(e) => Err(e.into()),
            };
            report(stringify!($name), result, &mut failed);
        };
    }
    check!(types);
    check!(prepared_statements);
    check!(transactions);
    check!(errors);
    check!(stream);
    check!(statement_timeout);
    check!(copy);
    report("notifications", notifications(options.clone()).await, &mut failed);
    std::process::exit(i32::from(failed > 0));
}

fn report(name: &str, result: Result<(), Failure>, failed: &mut i32) {
    match result {
        Ok(()) => println!("ok {name}"),
        Err(e) => {
            *failed += 1;
            println!("FAIL {name}: {}", e.to_string().replace('\n', " "));
        }
    }
}
