// node pg: types, prepared statements, transactions, errors, cancel, COPY, notifications, metadata.
'use strict';
const assert = require('assert/strict');
const { Client, Pool, types } = require('pg');
const { from: copyFrom, to: copyTo } = require('pg-copy-streams');
const { pipeline } = require('stream/promises');
const { Readable, Writable } = require('stream');

const connect = async (options = {}) => {
  const client = new Client(options);
  await client.connect();
  return client;
};

const VALUES = [
  ['bool', [true, false, null]],
  ['int4', [0, 2147483647, -2147483648]],
  ['int8', ['9223372036854775807', '-9223372036854775808']],
  ['numeric', ['1.50', '-0.00001', '123456789012345678901234567890.0987654321']],
  ['float8', [0, 0.1, 1e300, -Infinity]],
  ['text', ['', "quote ' and \\ and \n", 'äöü 世界 😀']],
  ['bytea', [Buffer.from([0, 1, 255])]],
  ['timestamptz', [new Date('2024-02-29T12:30:00.123Z')]],
  ['uuid', ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']],
  ['jsonb', [{ a: [1, null], b: 'x' }]],
  ['int4[]', [[1, null, 3], [[1, 2], [3, 4]]]],
  ['text[]', [['a b', null, 'quote " and \\']]],
];

const checks = {
  async typesInText(client) {
    for (const [type, values] of VALUES) {
      for (const value of values) {
        const { rows } = await client.query(`SELECT $1::${type} AS v`, [value]);
        assert.deepEqual(rows[0].v, value, type);
      }
    }
  },
  async typesInBinary(client) {
    const { rows } = await client.query({
      text: "SELECT 7::int4 AS a, 1.5::float8 AS b, true AS c, 'x'::text AS d, '2024-02-29 12:30:00Z'::timestamptz AS e",
      binary: true,
    });
    assert.deepEqual(rows[0], { a: 7, b: 1.5, c: true, d: 'x', e: new Date('2024-02-29T12:30:00Z') });
  },
  async preparedStatements(client) {
    const query = { name: 'sum', text: 'SELECT $1::int + $2::int AS sum' };
    for (let n = 0; n < 5; n++) {
      assert.equal((await client.query({ ...query, values: [n, n] })).rows[0].sum, 2 * n);
    }
    await assert.rejects(client.query({ name: 'sum', text: 'SELECT 1' }));
  },
  async fieldsOfAnAnswer(client) {
    const { fields, rowCount, command } = await client.query({ text: "SELECT 1 AS a, 'x'::varchar AS b", rowMode: 'array' });
    assert.deepEqual(fields.map((f) => [f.name, f.dataTypeID]), [['a', types.builtins.INT4], ['b', types.builtins.VARCHAR]]);
    assert.deepEqual([rowCount, command], [1, 'SELECT']);
  },
  async severalStatements(client) {
    const results = await client.query('SELECT 1 AS a; SELECT 2 AS b');
    assert.deepEqual(results.map((r) => r.rows[0]), [{ a: 1 }, { b: 2 }]);
  },
  async transactions(client) {
    await client.query('DROP TABLE IF EXISTS node_t; CREATE TABLE node_t (a int PRIMARY KEY)');
    await client.query('BEGIN');
    await client.query('INSERT INTO node_t VALUES (1)');
    await client.query('SAVEPOINT s');
    await assert.rejects(client.query('INSERT INTO node_t VALUES (1)'), { code: '23505', constraint: 'node_t_pkey' });
    await assert.rejects(client.query('SELECT 1'), { code: '25P02' });
    await client.query('ROLLBACK TO s');
    await client.query('COMMIT');
    assert.deepEqual((await client.query('SELECT a FROM node_t')).rows, [{ a: 1 }]);
  },
  async errors(client) {
    for (const [text, code] of [['SELEC 1', '42601'], ['SELECT * FROM nowhere', '42P01'], ['SELECT 1/0', '22012'],
      ["SELECT 'x'::int", '22P02']]) {
      await assert.rejects(client.query(text), { code, severity: 'ERROR' });
      await assert.rejects(client.query({ text, values: [] }), { code });
    }
  },
  async cancel(client) {
    const other = await connect();
    const { rows } = await client.query('SELECT pg_backend_pid() AS pid');
    const running = assert.rejects(client.query('SELECT count(*) FROM generate_series(1, 1000000000)'), { code: '57014' });
    const timer = setInterval(() => other.query('SELECT pg_cancel_backend($1)', [rows[0].pid]), 50);
    await running;
    clearInterval(timer);
    await other.end();
  },
  async statementTimeout() {
    const client = await connect({ statement_timeout: 100 });
    await assert.rejects(client.query('SELECT count(*) FROM generate_series(1, 1000000000)'), { code: '57014' });
    await client.end();
  },
  async copy(client) {
    await client.query('DROP TABLE IF EXISTS node_copy; CREATE TABLE node_copy (a int, b text)');
    const lines = Array.from({ length: 20000 }, (_, n) => `${n}\trow ${n}\n`);
    await pipeline(Readable.from(lines), client.query(copyFrom('COPY node_copy FROM STDIN')));
    let out = '';
    const sink = new Writable({ write(chunk, _, done) { out += chunk; done(); } });
    await pipeline(client.query(copyTo('COPY (SELECT * FROM node_copy ORDER BY a) TO STDOUT')), sink);
    assert.equal(out, lines.join(''));
  },
  async notifications(client) {
    const heard = new Promise((done) => { client.once('notification', done); });
    await client.query('LISTEN told');
    const other = await connect();
    await other.query("SELECT pg_notify('told', $1)", ['hello']);
    assert.equal((await heard).payload, 'hello');
    await other.end();
  },
  async notices(client) {
    const heard = new Promise((done) => { client.once('notice', done); });
    await client.query('DROP TABLE IF EXISTS node_nowhere');
    assert.equal((await heard).message, 'table "node_nowhere" does not exist, skipping');
  },
  async pool() {
    const pool = new Pool({ max: 5 });
    const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => pool.query('SELECT $1::int AS n', [n])));
    assert.deepEqual(answers.map((a) => a.rows[0].n), Array.from({ length: 50 }, (_, n) => n));
    await pool.end();
  },
  async tls() {
    const { rows: [{ ssl }] } = await (await connect()).query('SHOW ssl');
    if (ssl !== 'on') return;
    const client = await connect({ ssl: { rejectUnauthorized: false }, enableChannelBinding: true });
    const { rows } = await client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
    assert.equal(rows[0].ssl, true);
    await client.end();
  },
  async metadata(client) {
    await client.query('DROP TABLE IF EXISTS node_meta; CREATE TABLE node_meta (id serial PRIMARY KEY, v varchar(7) NOT NULL)');
    const { rows } = await client.query(`SELECT column_name, data_type, character_maximum_length AS n, is_nullable
      FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position`, ['node_meta']);
    assert.deepEqual(rows, [{ column_name: 'id', data_type: 'integer', n: null, is_nullable: 'NO' },
      { column_name: 'v', data_type: 'character varying', n: 7, is_nullable: 'NO' }]);
  },
};

(async () => {
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    const client = await connect();
    try {
      await check(client);
      console.log(`ok ${name}`);
    } catch (error) {
      failed++;
      console.log(`FAIL ${name}: ${String(error.message).split('\n').join(' ')}`);
    }
    await client.end();
  }
  process.exit(failed === 0 ? 0 : 1);
})();
