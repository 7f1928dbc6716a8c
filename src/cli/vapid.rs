//! `kervan vapid`: makes the key by which a server names itself to browsers' push services.

use std::process::ExitCode;

use crate::config::VapidKey;
use anyhow::anyhow;

use super::print;

/// Makes a key and says how it is set. Nothing is kept.
pub(super) fn run() -> anyhow::Result<ExitCode> {
    let key = VapidKey::generate().ok_or_else(|| anyhow!("the machine gives no chance"))?;
    let (public, private) = (key.public(), key.private());
    print(&format!(
        "# Browsers subscribe with the public half, which /api/config tells them: {public}\n\
         # Keep the key: with another one all of them have to subscribe again.\n\
         [notifications]\nvapid_key = \"{private}\"\nvapid_subject = \"mailto:you@example.com\"\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}
