//! `POST /admin/actors/{path}/stop|restart|passivate`.
//!
//! A restart is the same as a death that the tree already bears: what the actor had been told is finished or done again,
//! and nothing is lost. A room or user that is stopped or passivated goes only if the store has all of it, and comes
//! back when somebody needs it.

use axum::extract::{Extension, State};
use axum::http::StatusCode;

use super::extract::{conflict, not_found};
use super::guard::Who;
use super::tree::{ActorId, look};
use super::{Admin, AdminState, Live};
use crate::actors::gateway::order::Order;
use crate::api::http::{HttpError, Path};
use crate::api::protocol::codes::Disconnect;

/// `POST /admin/actors/{path}/{act}`.
pub(super) async fn act(
    State(admin): AdminState,
    Extension(who): Extension<Who>,
    Path(path): Path<String>,
) -> Result<StatusCode, HttpError> {
    let live = admin.live()?;
    let (path, act) = path.rsplit_once('/').ok_or_else(|| not_found("actor"))?;
    let act = ["stop", "restart", "passivate"].into_iter().find(|known| *known == act);
    let act = act.ok_or_else(|| not_found("act"))?;
    let id: ActorId = path.parse().map_err(|_| not_found("actor"))?;
    let done = carry_out(&admin, live, &id, act).await;
    admin.note(&who, &format!("actor.{act}"), &id.to_string(), done.as_ref().err()).await?;
    done.map(|()| StatusCode::NO_CONTENT)
}

async fn carry_out(admin: &Admin, live: &Live, id: &ActorId, act: &'static str) -> Result<(), HttpError> {
    if !id.acts().contains(&act) {
        let known = if id.acts().is_empty() { "nothing".to_owned() } else { id.acts().join(", ") };
        return Err(conflict("not_possible", format!("{id} takes no {act}; it takes: {known}")));
    }
    look(live, &admin.env, id).ok_or_else(|| not_found("actor"))?;
    let told = match (id, act) {
        (ActorId::Workers, _) => {
            live.node.restart_workers();
            true
        }
        (ActorId::Partitions, _) => live.node.router().owned().iter().all(|partition| live.node.passivate(partition)),
        (ActorId::Partition(partition), "restart") => live.node.restart(*partition),
        (ActorId::Partition(partition), _) => live.node.passivate(*partition),
        (ActorId::Session(client), _) => live.hub.sessions().find(*client).is_some_and(|connection| {
            connection.outbox.order(Order::close(Disconnect::FORCE_RECONNECT.code));
            true
        }),
        (id, act) => match id.entity() {
            Some(entity) if act == "restart" => live.node.restart_resident(entity),
            Some(entity) if live.node.let_go(entity.clone()).await => true,
            Some(_) => {
                let why = "it has something to do, or the store does not have all of it yet: try again in a moment";
                return Err(conflict("busy", why));
            }
            None => false,
        },
    };
    if told { Ok(()) } else { Err(conflict("not_possible", "it does not take anything now: try again in a moment")) }
}
