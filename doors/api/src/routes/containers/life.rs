//! Containers made, started, stopped, waited for and removed.

use bytes::Bytes;
use dhow_engine::containers::create::CreateRequest;
use dhow_engine::containers::remove::Removal;
use dhow_engine::containers::stop::StopRequest;
use dhow_engine::containers::wait::WaitCondition;
use dhow_model::Result;
use serde_json::json;

use crate::server::answer::{self, Answer};
use crate::server::call::Call;
use crate::server::stream;
use crate::types::create::{self, Parsed};
use crate::types::prune::PruneFilter;
use crate::types::update;

pub(super) async fn create(mut call: Call) -> Answer {
    let body = call.json("container.CreateRequest").await?;
    let Parsed { config, host_config, networks, warnings } = create::parse(body, call.version)?;
    let name = call.query.text("name").to_owned();
    let request = CreateRequest { name, platform: call.platform()?, config, host_config, networks };
    let mut created = call.run(move |engine| engine.create_container(request)).await?;
    created.warnings.extend(warnings);
    Ok(answer::created(&json!({"Id": created.id, "Warnings": created.warnings})))
}

pub(super) async fn start(call: Call, id: String) -> Answer {
    call.run(move |engine| engine.start_container(&id)).await?;
    Ok(answer::no_content())
}

pub(super) async fn stop(call: Call, id: String) -> Answer {
    let request = stop_request(&call)?;
    call.run_task(|engine| async move { engine.stop_container(&id, request).await }).await?;
    Ok(answer::no_content())
}

pub(super) async fn restart(call: Call, id: String) -> Answer {
    let request = stop_request(&call)?;
    call.run_task(|engine| async move { engine.restart_container(&id, request).await }).await?;
    Ok(answer::no_content())
}

fn stop_request(call: &Call) -> Result<StopRequest> {
    let signal = call.query.given("signal").filter(|_| !call.version.before(42)).map(str::to_owned);
    Ok(StopRequest { signal, timeout: call.query.number("t")? })
}

pub(super) async fn kill(call: Call, id: String) -> Answer {
    let signal = call.query.text("signal").to_owned();
    call.run(move |engine| engine.kill_container(&id, &signal)).await?;
    Ok(answer::no_content())
}

pub(super) async fn pause(call: Call, id: String) -> Answer {
    call.run(move |engine| engine.pause_container(&id)).await?;
    Ok(answer::no_content())
}

pub(super) async fn unpause(call: Call, id: String) -> Answer {
    call.run(move |engine| engine.unpause_container(&id)).await?;
    Ok(answer::no_content())
}

pub(super) async fn rename(call: Call, id: String) -> Answer {
    let name = call.query.text("name").to_owned();
    call.run(move |engine| engine.rename_container(&id, &name)).await?;
    Ok(answer::no_content())
}

pub(super) async fn update(mut call: Call, id: String) -> Answer {
    let asked = update::parse(call.json("container.UpdateConfig").await?, call.version)?;
    let warnings = call.run(move |engine| engine.update_container(&id, asked)).await?;
    Ok(answer::ok(&json!({"Warnings": Some(warnings).filter(|warnings| !warnings.is_empty())})))
}

/// The head goes out at once: a client that has it knows that the wait has begun, and starts the
/// container only then.
pub(super) async fn wait(call: Call, id: String) -> Answer {
    let condition = if call.version.before(30) { "" } else { call.query.text("condition") };
    let condition = WaitCondition::parse(condition)?;
    let wait = call.engine.wait_container(&id, condition)?;
    let engine = call.engine.clone();
    let line = async move {
        let exit = engine.waited(wait).await;
        let mut answer = json!({"Error": null, "StatusCode": exit.code});
        // Whoever waits for the removal was told by the start why it failed; docker's client would
        // say it twice.
        if !exit.error.is_empty() && condition != WaitCondition::Removed {
            answer["Error"] = json!({"Message": exit.error});
        }
        Bytes::from(format!("{answer}\n"))
    };
    Ok(stream::endless("application/json", futures_util::stream::once(line), call.end.of_server()))
}

pub(super) async fn remove(call: Call, id: String) -> Answer {
    if call.query.is_set("link") {
        call.run(move |engine| engine.remove_link(&id)).await?;
        return Ok(answer::no_content());
    }
    let removal = Removal { force: call.query.is_set("force"), volumes: call.query.is_set("v") };
    call.run(move |engine| engine.remove_container(&id, removal)).await?;
    Ok(answer::no_content())
}

pub(super) async fn prune(call: Call) -> Answer {
    let filter = PruneFilter::new(call.filters(&["until", "label", "label!"])?)?;
    let verb = move |engine: &std::sync::Arc<dhow_engine::Engine>| {
        engine.prune_containers(|container| filter.lets(container.created, &container.config.labels))
    };
    let pruned = call.run(verb).await?;
    let ids = Some(pruned.ids).filter(|ids| !ids.is_empty());
    Ok(answer::ok(&json!({"ContainersDeleted": ids, "SpaceReclaimed": pruned.reclaimed})))
}
