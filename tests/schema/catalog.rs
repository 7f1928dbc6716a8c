//! What a database says of its own tables, in a form that both dialects share.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, PgConnection, Row as _, SqliteConnection};

/// A column.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Column {
    pub name: String,
    /// Whether it may be empty.
    pub nullable: bool,
}

/// A table.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Table {
    /// In their order.
    pub columns: Vec<Column>,
    /// Columns of the primary key, in their order.
    pub key: Vec<String>,
    /// Other indexes: name, whether unique, columns, whether only part of the rows are in it.
    pub indexes: BTreeMap<String, (bool, Vec<String>, bool)>,
}

/// All tables but those of the migrator.
pub(crate) type Catalog = BTreeMap<String, Table>;

pub(crate) async fn sqlite(conn: &mut SqliteConnection) -> Catalog {
    let names = sqlx::query("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
        .fetch_all(&mut *conn)
        .await
        .unwrap();
    let mut catalog = Catalog::new();
    for name in names.iter().map(|row| row.get::<String, _>(0)) {
        let rows = sqlx::query("SELECT name, \"notnull\", pk FROM pragma_table_info(?) ORDER BY cid").bind(&name);
        let rows = rows.fetch_all(&mut *conn).await.unwrap();
        let columns = rows.iter().map(|row| Column { name: row.get(0), nullable: row.get::<i64, _>(1) == 0 }).collect();
        let mut key: Vec<(i64, String)> =
            rows.iter().map(|row| (row.get(2), row.get(0))).filter(|(place, _)| *place > 0).collect();
        key.sort();
        let rows =
            sqlx::query("SELECT name, \"unique\", partial FROM pragma_index_list(?) WHERE origin = 'c'").bind(&name);
        let mut indexes = BTreeMap::new();
        for row in rows.fetch_all(&mut *conn).await.unwrap() {
            let index: String = row.get(0);
            let columns = sqlx::query("SELECT name FROM pragma_index_info(?) ORDER BY seqno").bind(&index);
            let columns = columns.fetch_all(&mut *conn).await.unwrap().iter().map(|row| row.get(0)).collect();
            indexes.insert(index, (row.get::<i64, _>(1) == 1, columns, row.get::<i64, _>(2) == 1));
        }
        catalog.insert(name, Table { columns, key: key.into_iter().map(|(_, name)| name).collect(), indexes });
    }
    catalog
}

pub(crate) async fn postgres(conn: &mut PgConnection) -> Catalog {
    let names = sqlx::query(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '\\_sqlx%'",
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    let mut catalog = Catalog::new();
    for name in names.iter().map(|row| row.get::<String, _>(0)) {
        let columns = "SELECT column_name::text, is_nullable = 'YES' FROM information_schema.columns \
                       WHERE table_schema = 'public' AND table_name = $1 ORDER BY ordinal_position";
        let rows = sqlx::query(columns).bind(&name).fetch_all(&mut *conn).await.unwrap();
        let columns = rows.iter().map(|row| Column { name: row.get(0), nullable: row.get(1) }).collect();
        let indexes = "SELECT c.relname::text, i.indisprimary, i.indisunique, i.indpred IS NOT NULL, \
                       ARRAY(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY k(n, place) \
                             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n ORDER BY k.place) \
                       FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = ";
        // `name` comes from the catalog of a database that this test has made.
        let text = AssertSqlSafe(format!("{indexes} '{name}'::regclass"));
        let (mut key, mut indexes) = (Vec::new(), BTreeMap::new());
        for row in sqlx::query(text).fetch_all(&mut *conn).await.unwrap() {
            let columns: Vec<String> = row.get(4);
            if row.get(1) {
                key = columns;
            } else {
                indexes.insert(row.get(0), (row.get(2), columns, row.get(3)));
            }
        }
        catalog.insert(name, Table { columns, key, indexes });
    }
    catalog
}
