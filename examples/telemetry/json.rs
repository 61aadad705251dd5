//! One JSON object a line.

use crate::figures::{Figures, Recent};
use bowline::{Event, LostAt, PeerName, Side};
use serde_json::{Map, Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An event as an object; `at_ms` is the time since the Unix epoch.
pub fn event(event: &Event) -> Value {
    match event {
        Event::LinkDialling { peer, attempt } => {
            object("link_dialling", Some(peer), [("attempt", json!(attempt))])
        }
        Event::LinkHandshaking { peer } => object("link_handshaking", Some(peer), []),
        Event::LinkUp { peer, version } => object("link_up", Some(peer), [("version", json!(version))]),
        Event::LinkDown { peer, reason } => object(
            "link_down",
            Some(peer),
            [("reason", json!(reason.text())), ("transient", json!(reason.is_transient()))],
        ),
        Event::LinkDegraded { peer, text, .. } => {
            object("link_degraded", Some(peer), [("reason", json!(text))])
        }
        Event::LinkRecovered { peer, after, .. } => {
            object("link_recovered", Some(peer), [("after_ms", json!(after.as_millis()))])
        }
        Event::RouteLinked { route, peer, supplier } => object(
            "route_linked",
            peer.as_ref(),
            [("route", json!(route.to_string())), side("supplier", supplier)],
        ),
        Event::RouteUnlinked { route, peer, supplier } => object(
            "route_unlinked",
            peer.as_ref(),
            [("route", json!(route.to_string())), side("supplier", supplier)],
        ),
        Event::RouteRefused { route, peer, refusal } => object(
            "route_refused",
            peer.as_ref(),
            [("route", json!(route.to_string())), ("reason", json!(refusal.to_string()))],
        ),
        Event::WrongType { ours, theirs, peer } => object(
            "wrong_type",
            peer.as_ref(),
            [("ours", json!(ours.to_string())), ("theirs", json!(theirs.to_string()))],
        ),
        Event::Conflict { route, peer, text } => {
            object("conflict", peer.as_ref(), [("route", json!(route.to_string())), ("reason", json!(text))])
        }
        Event::SamplesLost { route, peer, count, lost } => object(
            "samples_lost",
            peer.as_ref(),
            [("route", json!(route.to_string())), ("count", json!(count)), ("lost", json!(place(*lost)))],
        ),
        other => object("other", None, [("text", json!(format!("{other:?}")))]),
    }
}

/// The figures of one route.
pub fn route(figures: &Figures, recent: &Recent, round_trip: Option<Duration>) -> Value {
    json!({
        "route": figures.route,
        "name": figures.name,
        "rate_hz": recent.rate,
        "age_p50_us": micros(recent.age_p50),
        "age_p99_us": micros(recent.age_p99),
        "rtt_us": micros(round_trip),
        "received": figures.received,
        "lost": figures.lost,
        "newest": figures.newest,
        "at_ms": now_ms(),
    })
}

/// All of one route at the end.
pub fn summary(figures: &Figures, ran: Duration, round_trip: Option<Duration>) -> Value {
    json!({
        "summary": figures.name,
        "route": figures.route,
        "rate_hz": figures.received as f64 / ran.as_secs_f64(),
        "age_p50_us": micros(figures.ages.at(0.5)),
        "age_p99_us": micros(figures.ages.at(0.99)),
        "rtt_us": micros(round_trip),
        "received": figures.received,
        "lost": figures.lost,
        "at_ms": now_ms(),
    })
}

fn object<const N: usize>(name: &str, peer: Option<&PeerName>, more: [(&str, Value); N]) -> Value {
    let mut fields = Map::new();
    fields.insert("event".into(), json!(name));
    if let Some(peer) = peer {
        fields.insert("peer".into(), json!(peer.to_string()));
    }
    fields.extend(more.map(|(name, value)| (name.to_string(), value)));
    fields.insert("at_ms".into(), json!(now_ms()));
    Value::Object(fields)
}

fn side(name: &'static str, side: &Side) -> (&'static str, Value) {
    (name, json!(if *side == Side::Here { "here" } else { "there" }))
}

fn place(lost: LostAt) -> &'static str {
    match lost {
        LostAt::Here => "here",
        LostAt::There => "there",
        _ => "on the way",
    }
}

fn micros(span: Option<Duration>) -> Value {
    span.map_or(Value::Null, |span| json!(span.as_secs_f64() * 1e6))
}

fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis())
}
