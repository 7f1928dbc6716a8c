//! Export of sampled commands' ways to an OpenTelemetry collector, by the standard variables; off without
//! `OTEL_EXPORTER_OTLP_ENDPOINT`. Each is a trace: a span for the command, one for each stage. OTLP over HTTP, protobuf.
//!
//! Nothing waits for it: what a slow collector leaves behind is dropped.

use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::actors::trace::{CommandTrace, Traces};
use crate::actors::wire::Entity;
use crate::http_client;
use anyhow::Context as _;
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};

use super::Refused;

/// Trails that may wait for the collector.
const WAITING: usize = 1_024;
/// For one request to it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A running export.
pub(super) struct Telemetry {
    provider: SdkTracerProvider,
    /// One command in so many, if the variables say so.
    every: Option<u32>,
}

impl Telemetry {
    /// As the variables say; `None` if they do not ask for it.
    ///
    /// # Errors
    /// [`Refused`] for a value that can't be kept, by its name.
    pub(crate) fn from_environment() -> anyhow::Result<Option<Self>> {
        let value = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let first = |names: [&str; 2]| names.into_iter().find_map(value);
        let off = value("OTEL_SDK_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true"))
            || value("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter == "none")
            || first(["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]).is_none();
        if off {
            return Ok(None);
        }
        let protocol = first(["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]);
        if let Some(other) = protocol.filter(|protocol| protocol != "http/protobuf") {
            return Err(Refused(format!("OTEL_EXPORTER_OTLP_PROTOCOL: expected http/protobuf, found {other:?}")).into());
        }
        let every = match value("OTEL_TRACES_SAMPLER") {
            Some(sampler) => Some(one_in(&sampler, value("OTEL_TRACES_SAMPLER_ARG").as_deref())?),
            None => None,
        };
        // It blocks the thread that exports, and nobody else.
        let client = http_client::blocking(|client| client.timeout(TIMEOUT)).context("the client of the collector")?;
        let exporter = SpanExporter::builder().with_http().with_http_client(client).build();
        let exporter = exporter.map_err(|error| Refused(format!("OTEL_EXPORTER_OTLP_…: {error}")))?;
        let resource = match value("OTEL_SERVICE_NAME") {
            Some(_) => Resource::builder(),
            None => Resource::builder().with_service_name("kervan"),
        };
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            // What to follow is decided where commands come in.
            .with_sampler(Sampler::AlwaysOn)
            .with_batch_exporter(exporter)
            .build();
        Ok(Some(Self { provider, every }))
    }

    /// Exports what is followed from now on.
    pub(crate) fn follow(&self, trails: &Traces) {
        if let Some(every) = self.every {
            trails.follow_one_in(every);
        }
        let (send, receive) = sync_channel(WAITING);
        trails.send_to(send);
        let tracer = self.provider.tracer("kervan");
        std::thread::spawn(move || export(&tracer, receive));
    }

    /// Sends what is still here, for a moment.
    pub(crate) fn finish(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(TIMEOUT / 2) {
            tracing::warn!(%error, "the last traces did not reach the collector");
        }
    }
}

/// One command in how many a sampler of the standard wants.
fn one_in(sampler: &str, ratio: Option<&str>) -> Result<u32, Refused> {
    match sampler.trim_start_matches("parentbased_") {
        "always_on" => Ok(1),
        "always_off" => Ok(0),
        "traceidratio" => {
            let ratio: f64 = ratio.unwrap_or("1").parse().unwrap_or(-1.0);
            match ratio {
                0.0 => Ok(0),
                ratio if ratio > 0.0 && ratio <= 1.0 => Ok((1.0 / ratio).round().min(f64::from(u32::MAX)) as u32),
                _ => Err(Refused("OTEL_TRACES_SAMPLER_ARG: expected a number from 0 to 1".to_owned())),
            }
        }
        other => Err(Refused(format!(
            "OTEL_TRACES_SAMPLER: expected always_on, always_off, traceidratio or parentbased_…, found {other:?}"
        ))),
    }
}

fn export(tracer: &SdkTracer, trails: Receiver<CommandTrace>) {
    for trail in trails {
        let begins = UNIX_EPOCH + Duration::from_millis(trail.at.0);
        let at = |us: u64| begins + Duration::from_micros(us);
        let ends = at(trail.spans.last().map_or(0, |(_, us)| *us));
        let command = tracer
            .span_builder(trail.kind)
            .with_kind(SpanKind::Server)
            .with_start_time(begins)
            .with_attributes(attributes(&trail))
            .start(tracer);
        let parent = Context::new().with_span(command);
        for pair in trail.spans.windows(2) {
            let [(_, from), (stage, to)] = [pair[0], pair[1]];
            let mut span =
                tracer.span_builder(stage.name()).with_start_time(at(from)).start_with_context(tracer, &parent);
            span.end_with_timestamp(at(to));
        }
        if trail.outcome.is_none_or(|outcome| outcome == "unknown" || outcome == "unavailable") {
            parent.span().set_status(Status::error(trail.outcome.unwrap_or("it did not get through")));
        }
        parent.span().end_with_timestamp(SystemTime::max(ends, begins));
    }
}

/// Where it went and what came of it; never what it says.
fn attributes(trail: &CommandTrace) -> Vec<KeyValue> {
    let number = |name, value: u64| KeyValue::new(name, i64::try_from(value).unwrap_or(i64::MAX));
    let mut all = vec![
        KeyValue::new("kervan.command", trail.id.to_string()),
        number("kervan.partition", trail.partition.get().into()),
    ];
    all.extend(trail.outcome.map(|outcome| KeyValue::new("kervan.outcome", outcome)));
    all.extend(trail.offset.map(|offset| number("kervan.offset", offset.0)));
    all.extend(trail.seq.map(|seq| number("kervan.seq", seq.0)));
    all.extend(trail.entity.as_ref().map(|entity| match entity {
        Entity::Room(room) => KeyValue::new("kervan.room", room.to_string()),
        Entity::User(user) => KeyValue::new("kervan.user", user.to_string()),
    }));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_of_the_standard_are_one_in_so_many() {
        for (sampler, ratio, expected) in [
            ("always_on", None, 1),
            ("always_off", None, 0),
            ("parentbased_always_on", None, 1),
            ("traceidratio", Some("0.01"), 100),
            ("parentbased_traceidratio", Some("0"), 0),
            ("traceidratio", None, 1),
        ] {
            assert_eq!(one_in(sampler, ratio).ok(), Some(expected), "{sampler} {ratio:?}");
        }
        for (sampler, ratio) in [("jaeger_remote", None), ("traceidratio", Some("2")), ("traceidratio", Some("x"))] {
            assert!(one_in(sampler, ratio).is_err(), "{sampler} {ratio:?}");
        }
    }
}
