//! A run over HTTP from its first connection to its figures.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::clients::{Clients, Population};
use super::http::HttpLoad;
use super::idle::Idle;
use super::outcome::{Outcome, merge};
use super::pace::Phase;
use super::request::Requests;
use super::server::{Moment, Server};
use super::site::{Keys, Site};
use super::tally::{Tally, round};

/// What a load is put on, and for how long.
#[derive(Clone, Debug, clap::Args)]
pub struct Plan {
    /// Where the server listens
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub target: SocketAddr,
    /// The site that the server has
    #[command(flatten)]
    pub site: Site,
    /// Who announces
    #[command(flatten)]
    pub population: Population,
    /// What stands in the announce URLs
    #[arg(long, value_enum, default_value = "tokens")]
    pub keys: Keys,
    /// The measured window, as in 10s or 500ms; 0s: the fill alone
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub duration: Duration,
    /// The same load before it, unmeasured
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    pub warmup: Duration,
    /// Requests a second, each at its time, and latency counted from that [default: as fast as replies come]
    #[arg(long, value_name = "N")]
    pub rate: Option<f64>,
    /// The server's process: its CPU time and memory are read
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// Sessions don't start first: for servers that know them, or know nothing
    #[arg(long)]
    pub no_fill: bool,
}

/// What HTTP has besides.
#[derive(Clone, Debug, clap::Args)]
pub struct Http {
    /// Where, who and how long
    #[command(flatten)]
    pub plan: Plan,
    /// Keep-alive connections, each with one request out at most
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,
    /// So many more that announce once and rest until the end
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub idle: u32,
}

/// Fills, warms up, measures.
pub fn http(options: &Http) -> Result<Outcome> {
    let plan = &options.plan;
    let server = plan.server_pid.map(|pid| Server { pid });
    let look = || server.map(Server::look).transpose();
    let spelled = plan.site.spell(plan.keys)?;
    let requests = Requests::new(spelled, &plan.target.to_string(), plan.population.numwant);
    let clients = Clients::deal(&plan.population, &plan.site, options.connections as usize);
    let begin = look()?;
    let mut load = HttpLoad::connect(plan.target, requests, clients)?;
    let mut figures = Vec::new();
    if plan.no_fill {
        load.everybody_is_known();
    } else {
        let bar = counting("started", load.sessions() as u64);
        let done = load.run(Phase::Fill, &bar)?;
        bar.finish_and_clear();
        figures.push(json!({ "fill": {
            "sessions": done.tally.replies(),
            "seconds": round(done.wall.as_secs_f64()),
            "a_second": (done.tally.replies() as f64 / done.wall.as_secs_f64()).round(),
        }}));
    }
    let mut idle = None;
    if options.idle > 0 {
        let (resting, value) = rest(options, look)?;
        figures.push(value);
        idle = Some(resting);
    }
    let phase = |duration| match plan.rate {
        Some(rate) => Phase::Rate(rate, duration),
        None => Phase::Closed(duration),
    };
    if !plan.duration.is_zero() {
        let bar = timing("warm-up", plan.warmup);
        load.run(phase(plan.warmup), &bar)?;
        bar.finish_and_clear();
        let bar = timing("measured", plan.duration);
        let before = look()?;
        let own = Server {
            pid: std::process::id(),
        };
        let own_before = own.look()?;
        let done = load.run(phase(plan.duration), &bar)?;
        bar.finish_and_clear();
        let own_after = own.look()?;
        figures.push(window(&done.tally, done.wall));
        let cpu = own_after.cpu_per_request(&own_before, done.tally.replies());
        figures.push(json!({ "generator_cpu_us": cpu["all"]["us"] }));
        figures.push(spent(before, look()?, done.tally.replies()));
    }
    if let Some(idle) = &mut idle {
        idle.check(&mut load.failures);
    }
    figures.push(memory(begin, look()?));
    Ok(Outcome {
        figures: merge(figures),
        failures: load.failures,
    })
}

/// The connections that rest, and what each costs the server. They are a member's of their own each, in the same swarms.
fn rest(options: &Http, look: impl Fn() -> Result<Option<Moment>>) -> Result<(Idle, Value)> {
    let plan = &options.plan;
    let population = Population {
        sessions: options.idle,
        ..plan.population.clone()
    };
    let mut clients = Clients::deal(&population, &plan.site, 1).remove(0);
    // The sessions are known already, so that they cost the server nothing more.
    clients.everybody_is_known();
    let spelled = plan.site.spell(plan.keys)?;
    let requests = Requests::new(spelled, &plan.target.to_string(), plan.population.numwant);
    let bar = counting("idle connections", options.idle.into());
    let before = look()?;
    let idle = Idle::open(
        plan.target,
        options.idle as usize,
        &requests,
        &mut clients,
        &bar,
    )?;
    bar.finish_and_clear();
    let mut value = json!({ "connections": options.idle });
    if let (Some(before), Some(after)) = (before, look()?) {
        let grown = after.rss as f64 - before.rss as f64;
        value["rss_bytes_each"] = json!((grown / f64::from(options.idle)).round());
    }
    Ok((idle, json!({ "idle": value })))
}

/// What came back in the window.
pub(super) fn window(tally: &Tally, wall: Duration) -> Value {
    let rate = tally.replies() as f64 / wall.as_secs_f64();
    let measured =
        json!({ "requests_a_second": rate.round(), "seconds": round(wall.as_secs_f64()) });
    merge([measured, tally.json()])
}

/// What the server used meanwhile.
pub(super) fn spent(before: Option<Moment>, after: Option<Moment>, requests: u64) -> Value {
    match (before, after) {
        (Some(before), Some(after)) => {
            json!({ "server_cpu_per_request": after.cpu_per_request(&before, requests) })
        }
        _ => Value::Null,
    }
}

/// Its memory at both ends of the run.
pub(super) fn memory(begin: Option<Moment>, end: Option<Moment>) -> Value {
    match (begin, end) {
        (Some(begin), Some(end)) => json!({ "server_rss": { "begin": begin.rss, "end": end.rss } }),
        _ => Value::Null,
    }
}

/// A bar that counts. Without a terminal it stays dark.
pub(super) fn counting(what: &'static str, total: u64) -> ProgressBar {
    styled(
        what,
        total,
        "{msg} {wide_bar} {human_pos}/{human_len} {eta}",
    )
}

/// A bar of a time that passes, in milliseconds.
pub(super) fn timing(what: &'static str, duration: Duration) -> ProgressBar {
    styled(
        what,
        duration.as_millis() as u64,
        "{msg} {wide_bar} {elapsed}",
    )
}

fn styled(what: &'static str, total: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(total).with_message(what);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// `10s`, `500ms`, `2m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err("wants a number and ms, s or m, as in 10s".to_owned()),
    };
    let number = text[..text.len() - unit.len()].parse::<f64>();
    let number = number.map_err(|error| error.to_string())?;
    Duration::try_from_secs_f64(number * scale).map_err(|error| error.to_string())
}
