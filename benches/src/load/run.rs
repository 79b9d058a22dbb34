//! A run from its first connection to its figures.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::clients::{Clients, Population};
use super::http::HttpLoad;
use super::idle::Idle;
use super::outcome::{Outcome, merge};
use super::pace::{Done, Phase};
use super::request::Requests;
use super::server::{Moment, Server};
use super::site::{Keys, Site};
use super::tally::{Failures, Tally, round};
use super::udp::{UdpLoad, UdpRequests};

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

/// What UDP has besides.
#[derive(Clone, Debug, clap::Args)]
pub struct Udp {
    /// Where, who and how long
    #[command(flatten)]
    pub plan: Plan,
    /// Sockets, each with a port and a connection id of its own
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub sockets: u32,
    /// Announces that each has out at a time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub outstanding: u32,
}

/// Sessions that a server is asked for, over one protocol or the other.
pub trait Load {
    /// How many there are.
    fn sessions(&self) -> usize;

    /// In place of a fill.
    fn everybody_is_known(&mut self);

    /// Runs a phase until its last reply is in.
    fn run(&mut self, phase: Phase, bar: &ProgressBar) -> Result<Done>;

    /// What went wrong, since the beginning.
    fn failures(&mut self) -> &mut Failures;

    /// Packets that had to be sent again, since the beginning.
    fn lost(&self) -> Option<u64> {
        None
    }
}

/// Announces over HTTP.
pub fn http(options: &Http) -> Result<Outcome> {
    let plan = &options.plan;
    let requests = requests(plan)?;
    let clients = Clients::deal(&plan.population, &plan.site, options.connections as usize);
    let begin = plan.look()?;
    let mut load = HttpLoad::connect(plan.target, requests, clients)?;
    let mut figures = fill(plan, &mut load)?;
    let mut idle = None;
    if options.idle > 0 {
        let (resting, value) = rest(options)?;
        figures.push(value);
        idle = Some(resting);
    }
    figures.extend(measure(plan, &mut load)?);
    if let Some(idle) = &mut idle {
        idle.check(load.failures());
    }
    outcome(plan, figures, begin, &mut load)
}

/// Announces over UDP.
pub fn udp(options: &Udp) -> Result<Outcome> {
    let plan = &options.plan;
    let clients = Clients::deal(&plan.population, &plan.site, options.sockets as usize);
    let requests = UdpRequests::new(plan.site.spell(plan.keys)?, plan.population.numwant);
    let begin = plan.look()?;
    let outstanding = options.outstanding as usize;
    let mut load = UdpLoad::connect(plan.target, requests, clients, outstanding)?;
    let mut figures = fill(plan, &mut load)?;
    figures.extend(measure(plan, &mut load)?);
    outcome(plan, figures, begin, &mut load)
}

impl Plan {
    fn look(&self) -> Result<Option<Moment>> {
        let server = self.server_pid.map(|pid| Server { pid });
        server.map(Server::look).transpose()
    }
}

fn requests(plan: &Plan) -> Result<Requests> {
    let spelled = plan.site.spell(plan.keys)?;
    let host = plan.target.to_string();
    Ok(Requests::new(spelled, &host, plan.population.numwant))
}

/// Everybody's first word.
fn fill(plan: &Plan, load: &mut impl Load) -> Result<Vec<Value>> {
    if plan.no_fill {
        load.everybody_is_known();
        return Ok(Vec::new());
    }
    let bar = counting("started", load.sessions() as u64);
    let Done { tally, wall } = load.run(Phase::Fill, &bar)?;
    bar.finish_and_clear();
    let rate = (tally.replies() as f64 / wall.as_secs_f64()).round();
    let seconds = round(wall.as_secs_f64());
    let value = json!({ "sessions": tally.replies(), "seconds": seconds, "a_second": rate });
    Ok(vec![json!({ "fill": value })])
}

/// The warm-up, and the window.
fn measure(plan: &Plan, load: &mut impl Load) -> Result<Vec<Value>> {
    if plan.duration.is_zero() {
        return Ok(Vec::new());
    }
    let phase = |duration| match plan.rate {
        Some(rate) => Phase::Rate(rate, duration),
        None => Phase::Closed(duration),
    };
    let bar = timing("warm-up", plan.warmup);
    load.run(phase(plan.warmup), &bar)?;
    bar.finish_and_clear();
    let bar = timing("measured", plan.duration);
    let generator = Server {
        pid: std::process::id(),
    };
    let (before, own) = (plan.look()?, generator.look()?);
    let done = load.run(phase(plan.duration), &bar)?;
    bar.finish_and_clear();
    let (after, own_after) = (plan.look()?, generator.look()?);
    let replies = done.tally.replies();
    let own = own_after.cpu_per_request(&own, replies);
    Ok(vec![
        window(&done.tally, done.wall),
        json!({ "generator_cpu_us": own["all"]["us"] }),
        spent(before, after, replies),
    ])
}

fn outcome(
    plan: &Plan,
    mut figures: Vec<Value>,
    begin: Option<Moment>,
    load: &mut impl Load,
) -> Result<Outcome> {
    figures.push(memory(begin, plan.look()?));
    figures.extend(load.lost().map(|lost| json!({ "lost_packets": lost })));
    Ok(Outcome {
        figures: merge(figures),
        failures: load.failures().clone(),
    })
}

/// The connections that rest, and what each costs the server. They are a member's of their own each, in the same swarms.
fn rest(options: &Http) -> Result<(Idle, Value)> {
    let plan = &options.plan;
    let population = Population {
        sessions: options.idle,
        ..plan.population.clone()
    };
    let mut clients = Clients::deal(&population, &plan.site, 1).remove(0);
    // The sessions are known already, so that they cost the server nothing more.
    clients.everybody_is_known();
    let requests = requests(plan)?;
    let bar = counting("idle connections", options.idle.into());
    let before = plan.look()?;
    let idle = Idle::open(
        plan.target,
        options.idle as usize,
        &requests,
        &mut clients,
        &bar,
    )?;
    bar.finish_and_clear();
    let mut value = json!({ "connections": options.idle });
    if let (Some(before), Some(after)) = (before, plan.look()?) {
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
