//! Reading a query string.

use std::hint::black_box;

use benches::{Size, workload};
use criterion::Criterion;
use tracker_core::query::{Announce, scrape_hashes};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for &size in Size::of_this_run() {
        let queries = workload::qbittorrent_queries(size);
        announces(&mut criterion, "qbittorrent", size, &queries);
        let queries = workload::transmission_queries(size);
        announces(&mut criterion, "transmission", size, &queries);
        scrape(&mut criterion, size);
    }
    criterion.final_summary();
}

fn announces(criterion: &mut Criterion, client: &str, size: Size, queries: &[String]) {
    let mut queries = queries.iter().cycle();
    let id = format!("query/{client}/{size}");
    criterion.bench_function(&id, |bencher| {
        bencher.iter(|| {
            let query = queries.next().map_or("", String::as_str);
            black_box(Announce::parse(black_box(query.as_bytes()))).is_ok()
        });
    });
}

fn scrape(criterion: &mut Criterion, size: Size) {
    let query = workload::scrape_query(size);
    let id = format!("query/scrape/{size}");
    criterion.bench_function(&id, |bencher| {
        bencher.iter(|| {
            scrape_hashes(black_box(query.as_bytes()))
                .map(black_box)
                .count()
        });
    });
}
