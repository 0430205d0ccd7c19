// pgjdbc: types in text and binary, prepared statements, transactions, errors, cancel, COPY, metadata.
import java.io.ByteArrayOutputStream;
import java.io.StringReader;
import java.math.BigDecimal;
import java.sql.*;
import java.time.*;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.PSQLException;

public class Check {
  interface Body { void run(Connection connection) throws Exception; }

  static Connection connect(String... options) throws SQLException {
    Properties properties = new Properties();
    properties.setProperty("user", System.getenv("PGUSER"));
    properties.setProperty("password", System.getenv("PGPASSWORD"));
    for (int i = 0; i < options.length; i += 2) properties.setProperty(options[i], options[i + 1]);
    return DriverManager.getConnection("jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT")
        + "/" + System.getenv("PGDATABASE"), properties);
  }

  static void same(Object got, Object wanted) {
    if (!Objects.deepEquals(got, wanted)) throw new AssertionError("got " + got + ", wanted " + wanted);
  }

  static void fails(String state, Body body, Connection connection) throws Exception {
    try {
      body.run(connection);
    } catch (SQLException e) {
      same(e.getSQLState(), state);
      return;
    }
    throw new AssertionError("no error, wanted " + state);
  }

  static Object ask(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
      return rows.next() ? rows.getObject(1) : null;
    }
  }

  static void execute(Connection connection, String... statements) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      for (String sql : statements) statement.execute(sql);
    }
  }

  static void roundTrip(Connection c, String type, Object value, Class<?> as) throws SQLException {
    try (PreparedStatement statement = c.prepareStatement("SELECT ?::" + type + " AS v")) {
      for (int turn = 0; turn < 7; turn++) {  // text first, then a named statement with binary transfer
        statement.setObject(1, value);
        try (ResultSet rows = statement.executeQuery()) {
          rows.next();
          Object got = as == null ? rows.getObject(1) : as == byte[].class ? rows.getBytes(1) : rows.getObject(1, as);
          if (value instanceof BigDecimal) same(((BigDecimal) got).compareTo((BigDecimal) value), 0);
          else same(got, value);
        }
      }
    }
  }

  public static void main(String[] arguments) throws Exception {
    Map<String, Body> checks = new LinkedHashMap<>();
    checks.put("types", c -> {
      roundTrip(c, "bool", true, null);
      roundTrip(c, "int4", -2147483648, null);
      roundTrip(c, "int8", Long.MAX_VALUE, null);
      roundTrip(c, "float4", 1.5f, null);
      roundTrip(c, "float8", 0.1, null);
      roundTrip(c, "numeric", new BigDecimal("123456789012345678901234567890.0987654321"), null);
      roundTrip(c, "text", "quote ' and \\ äöü 世界 😀", null);
      roundTrip(c, "bytea", new byte[] {0, 1, -1}, byte[].class);
      roundTrip(c, "date", LocalDate.of(2024, 2, 29), LocalDate.class);
      roundTrip(c, "time", LocalTime.of(23, 59, 59, 999999000), LocalTime.class);
      roundTrip(c, "timestamp", LocalDateTime.of(2024, 2, 29, 23, 59, 59, 999999000), LocalDateTime.class);
      roundTrip(c, "timestamptz", OffsetDateTime.of(2024, 2, 29, 12, 30, 0, 0, ZoneOffset.UTC), OffsetDateTime.class);
      roundTrip(c, "uuid", UUID.fromString("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), null);
      try (PreparedStatement statement = c.prepareStatement("SELECT ?::int[], ?::text[]")) {
        statement.setArray(1, c.createArrayOf("int4", new Integer[] {1, null, 3}));
        statement.setArray(2, c.createArrayOf("text", new String[] {"a b", null, "quote \""}));
        ResultSet rows = statement.executeQuery();
        rows.next();
        same(rows.getArray(1).getArray(), new Integer[] {1, null, 3});
        same(rows.getArray(2).getArray(), new String[] {"a b", null, "quote \""});
      }
    });
    checks.put("modesOfQueries", c -> {
      for (String mode : List.of("simple", "extended", "extendedForPrepared", "extendedCacheEverything")) {
        try (Connection own = connect("preferQueryMode", mode)) {
          PreparedStatement statement = own.prepareStatement("SELECT ?::int + 1, ?::text");
          statement.setInt(1, 6);
          statement.setString(2, "it's");
          ResultSet rows = statement.executeQuery();
          rows.next();
          same(rows.getInt(1), 7);
          same(rows.getString(2), "it's");
        }
      }
    });
    checks.put("batchesAndKeys", c -> {
      execute(c, "DROP TABLE IF EXISTS java_t", "CREATE TABLE java_t (id serial PRIMARY KEY, v text)");
      try (Connection own = connect("reWriteBatchedInserts", "true");
           PreparedStatement statement = own.prepareStatement("INSERT INTO java_t (v) VALUES (?)",
                                                              Statement.RETURN_GENERATED_KEYS)) {
        for (int n = 0; n < 500; n++) {
          statement.setString(1, "row " + n);
          statement.addBatch();
        }
        same(statement.executeBatch().length, 500);
        int keys = 0;
        for (ResultSet rows = statement.getGeneratedKeys(); rows.next(); ) keys++;
        same(keys, 500);
      }
      same(ask(c, "SELECT count(*) FROM java_t"), 500L);
    });
    checks.put("transactions", c -> {
      execute(c, "DROP TABLE IF EXISTS java_tx", "CREATE TABLE java_tx (a int PRIMARY KEY)");
      c.setAutoCommit(false);
      execute(c, "INSERT INTO java_tx VALUES (1)");
      Savepoint savepoint = c.setSavepoint("s");
      fails("23505", x -> execute(x, "INSERT INTO java_tx VALUES (1)"), c);
      fails("25P02", x -> ask(x, "SELECT 1"), c);
      c.rollback(savepoint);
      c.commit();
      c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
      same(ask(c, "SHOW transaction_isolation"), "serializable");
      c.rollback();
      c.setReadOnly(true);
      fails("25006", x -> execute(x, "INSERT INTO java_tx VALUES (2)"), c);
      c.rollback();
      c.setReadOnly(false);
      c.setAutoCommit(true);
      same(ask(c, "SELECT count(*) FROM java_tx"), 1L);
    });
    checks.put("fetchSize", c -> {
      c.setAutoCommit(false);
      try (PreparedStatement statement = c.prepareStatement("SELECT generate_series(1, 5000)")) {
        statement.setFetchSize(100);
        int count = 0;
        for (ResultSet rows = statement.executeQuery(); rows.next(); ) count++;
        same(count, 5000);
      }
      c.commit();
      c.setAutoCommit(true);
    });
    checks.put("errors", c -> {
      fails("42601", x -> ask(x, "SELEC 1"), c);
      fails("42P01", x -> ask(x, "SELECT * FROM nowhere"), c);
      fails("22012", x -> ask(x, "SELECT 1/0"), c);
      try {
        ask(c, "SELECT nothing");
      } catch (PSQLException e) {
        same(e.getServerErrorMessage().getPosition(), 8);
      }
    });
    checks.put("cancelAndTimeout", c -> {
      try (Statement statement = c.createStatement()) {
        Thread other = new Thread(() -> {
          try {
            Thread.sleep(300);
            statement.cancel();
          } catch (Exception e) {
            e.printStackTrace();
          }
        });
        other.start();
        fails("57014", x -> statement.executeQuery("SELECT count(*) FROM generate_series(1, 1000000000)"), c);
        other.join();
        statement.setQueryTimeout(1);
        fails("57014", x -> statement.executeQuery("SELECT count(*) FROM generate_series(1, 1000000000)"), c);
      }
    });
    checks.put("copy", c -> {
      execute(c, "DROP TABLE IF EXISTS java_copy", "CREATE TABLE java_copy (a int, b text)");
      CopyManager copy = c.unwrap(PGConnection.class).getCopyAPI();
      same(copy.copyIn("COPY java_copy FROM STDIN", new StringReader("1\tone\n2\t\\N\n")), 2L);
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      copy.copyOut("COPY java_copy TO STDOUT (FORMAT binary)", out);
      same(copy.copyIn("COPY java_copy FROM STDIN (FORMAT binary)",
                       new java.io.ByteArrayInputStream(out.toByteArray())), 2L);
      same(ask(c, "SELECT count(*) FROM java_copy"), 4L);
    });
    checks.put("notifications", c -> {
      execute(c, "LISTEN told", "NOTIFY told, 'hello'");
      same(c.unwrap(PGConnection.class).getNotifications(5000)[0].getParameter(), "hello");
    });
    checks.put("tables", c -> {
      execute(c, "DROP TABLE IF EXISTS java_child, java_parent",
              "CREATE TABLE java_parent (a int, b varchar(7) NOT NULL DEFAULT 'x', c numeric(8,2), PRIMARY KEY (b, a))",
              "CREATE TABLE java_child (id bigserial PRIMARY KEY, a int, b varchar(7), UNIQUE (a), "
                  + "FOREIGN KEY (b, a) REFERENCES java_parent ON DELETE CASCADE)",
              "COMMENT ON TABLE java_parent IS 'the parent'", "CREATE INDEX java_index ON java_child (b DESC, a)");
      DatabaseMetaData meta = c.getMetaData();
      try (ResultSet rows = meta.getTables(null, "public", "java\\_%", new String[] {"TABLE"})) {
        List<String> names = new ArrayList<>();
        while (rows.next()) names.add(rows.getString("TABLE_NAME") + " " + rows.getString("REMARKS"));
        same(names.contains("java_parent the parent"), true);
      }
      try (ResultSet rows = meta.getColumns(null, "public", "java_parent", null)) {
        List<String> columns = new ArrayList<>();
        while (rows.next()) {
          columns.add(rows.getString("COLUMN_NAME") + " " + rows.getString("TYPE_NAME") + " " + rows.getInt("COLUMN_SIZE")
              + " " + rows.getString("IS_NULLABLE"));
        }
        same(columns, List.of("a int4 10 NO", "b varchar 7 NO", "c numeric 8 YES"));
      }
    });
    checks.put("keysAndIndexes", c -> {
      DatabaseMetaData meta = c.getMetaData();
      try (ResultSet rows = meta.getPrimaryKeys(null, "public", "java_parent")) {
        Map<String, Integer> keys = new TreeMap<>();
        while (rows.next()) keys.put(rows.getString("COLUMN_NAME"), rows.getInt("KEY_SEQ"));
        same(keys, Map.of("a", 2, "b", 1));
      }
      try (ResultSet rows = meta.getImportedKeys(null, "public", "java_child")) {
        List<String> keys = new ArrayList<>();
        while (rows.next()) keys.add(rows.getString("FKCOLUMN_NAME") + ">" + rows.getString("PKTABLE_NAME") + "." + rows.getString("PKCOLUMN_NAME") + " " + rows.getInt("DELETE_RULE"));
        same(keys, List.of("b>java_parent.b 0", "a>java_parent.a 0"));
      }
      try (ResultSet rows = meta.getIndexInfo(null, "public", "java_child", false, false)) {
        Set<String> names = new TreeSet<>();
        while (rows.next()) names.add(rows.getString("INDEX_NAME") + " " + rows.getString("ASC_OR_DESC") + " " + rows.getBoolean("NON_UNIQUE"));
        same(names, new TreeSet<>(List.of("java_child_a_key A false", "java_child_pkey A false", "java_index A true", "java_index D true")));
      }
      for (ResultSet rows : List.of(meta.getExportedKeys(null, "public", "java_parent"),
               meta.getCrossReference(null, "public", "java_parent", null, "public", "java_child"))) {
        same(rows.next(), true);
        rows.close();
      }
      try (ResultSet rows = meta.getBestRowIdentifier(null, "public", "java_child", DatabaseMetaData.bestRowSession, true)) {
        same(rows.next(), true);
      }
    });
    checks.put("restOfTheMetadata", c -> {
      DatabaseMetaData meta = c.getMetaData();
      same(meta.getDatabaseProductName(), "PostgreSQL");
      same(meta.getDatabaseMajorVersion(), 15);
      for (ResultSet rows : List.of(meta.getSchemas(), meta.getCatalogs(), meta.getTableTypes(), meta.getTypeInfo(),
               meta.getSchemas(null, "pub%"), meta.getTablePrivileges(null, "public", "java_child"))) {
        same(rows.next(), true);
        rows.close();
      }
      for (ResultSet rows : List.of(meta.getProcedures(null, "public", "%"), meta.getFunctions(null, "public", "%"),
               meta.getUDTs(null, "public", "%", null), meta.getVersionColumns(null, "public", "java_child"),
               meta.getColumnPrivileges(null, "public", "java_child", "%"))) {
        while (rows.next()) {
        }
        rows.close();
      }
      try (PreparedStatement statement = c.prepareStatement("SELECT a, b FROM java_parent WHERE a = ?")) {
        ResultSetMetaData columns = statement.getMetaData();
        same(columns.getColumnCount() + columns.getColumnName(2) + columns.getTableName(2) + columns.getColumnTypeName(1)
             + columns.isNullable(1) + columns.isAutoIncrement(1), "2bjava_parentint40false");
        same(statement.getParameterMetaData().getParameterTypeName(1), "int4");
      }
    });
    checks.put("tls", c -> {
      if (!"on".equals(ask(c, "SHOW ssl"))) return;
      try (Connection own = connect("sslmode", "require", "channelBinding", "require")) {
        same(ask(own, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), true);
      }
    });
    int failed = 0;
    for (Map.Entry<String, Body> check : checks.entrySet()) {
      try (Connection connection = connect()) {
        check.getValue().run(connection);
        System.out.println("ok " + check.getKey());
      } catch (Throwable e) {
        failed++;
        System.out.println("FAIL " + check.getKey() + ": " + String.valueOf(e).replace('\n', ' '));
      }
    }
    System.exit(failed == 0 ? 0 : 1);
  }
}
