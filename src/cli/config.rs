//! `kervan config`: show what is in force, check it, write a template.

use std::process::ExitCode;

use crate::config::{reference, template};
use clap::Subcommand;

use super::{Settings, print, sources};

#[derive(Subcommand)]
pub(super) enum What {
    /// Show the configuration in force; secrets as ***.
    Show {
        #[command(flatten)]
        settings: Settings,
        /// Add where each setting comes from.
        #[arg(long)]
        origin: bool,
    },
    /// Check the configuration for `kervan serve`: exit code 0 if it is good, 2 if not.
    Check {
        #[command(flatten)]
        settings: Settings,
    },
    /// Write a cluster.toml with every key and its default to stdout.
    Template,
    /// Write the reference of every setting as Markdown to stdout.
    Reference,
}

pub(super) fn run(what: &What) -> anyhow::Result<ExitCode> {
    match what {
        What::Show { settings, origin } => print(&sources::load(settings)?.show(*origin))?,
        What::Check { settings } => {
            let loaded = sources::load(settings)?;
            for warning in &loaded.warnings {
                print(&format!("warning: {warning}\n"))?;
            }
            print("the configuration is good\n")?;
        }
        What::Template => print(&template())?,
        What::Reference => print(&reference())?,
    }
    Ok(ExitCode::SUCCESS)
}
