//! Redis inside a server, if the configuration names one: connected before anything else starts, and told of what devices
//! acknowledge here.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::{Deps, StartError};
use crate::actors::hints::Redis;
use crate::actors::hints::acknowledgements::Acknowledgements;

/// What there is with a Redis.
pub(super) struct Hinting {
    pub acknowledgements: Arc<Acknowledgements>,
}

impl Hinting {
    /// Connects. `None` if no Redis is named.
    ///
    /// # Errors
    /// It does not answer.
    pub(super) async fn connect(deps: &Deps) -> Result<Option<Self>, StartError> {
        let Some(url) = &deps.config.redis.url else { return Ok(None) };
        let redis = Redis::connect(url, deps.health.check("redis")).await?;
        tracing::info!(place = url.places(), "hints are kept in Redis");
        let acknowledgements = Acknowledgements::new(Arc::new(redis), deps.config.notifications.expiry);
        Ok(Some(Self { acknowledgements: Arc::new(acknowledgements) }))
    }

    /// Writes what is noted, until it is ended.
    pub(super) fn run(&self) -> JoinHandle<()> {
        tokio::spawn(Arc::clone(&self.acknowledgements).run())
    }
}
