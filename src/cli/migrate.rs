//! `kervan migrate`: brings a database to this program's schema, as the start does; for PostgreSQL, and to do
//! it apart from the start.

use std::process::ExitCode;

use crate::config::{Database, Flag};
use crate::storage::sql::migrate::migrate;
use anyhow::Context as _;
use clap::Args;

use super::{Settings, engines, print, sources};

#[derive(Args)]
pub(super) struct Request {
    /// sqlite:FILE, a path or postgres://…; without it, the configured database.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(request: &Request) -> anyhow::Result<ExitCode> {
    let flag = |value: &String| Flag { name: "--database-url", key: ("store", "database_url"), value: value.clone() };
    let loaded = sources::load_with(&request.settings, request.database_url.iter().map(flag).collect())?;
    let database = loaded.config.database();
    if let Database::Sqlite(path) = &database
        && let Some(folder) = path.parent()
    {
        crate::storage::disk::make_private(folder).with_context(|| folder.display().to_string())?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("the async runtime")?;
    let version = runtime.block_on(migrate(&database)).map_err(|error| engines::store_error(error, &loaded))?;
    print(&format!("the schema is at version {version}\n"))?;
    Ok(ExitCode::SUCCESS)
}
