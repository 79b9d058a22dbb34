//! A whole announce of one leecher, by what it gets: the differences are what peers cost.

use benches::traffic::Traffic;
use benches::{Size, workload};
use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for &size in Size::of_this_run() {
        for peers in [0, 50] {
            let traffic = workload::reply(size, peers);
            bench(&mut criterion, &format!("{peers}_peers"), size, traffic);
        }
        let traffic = workload::reply_in_dictionaries(size, 50);
        bench(&mut criterion, "50_dictionaries", size, traffic);
    }
    criterion.final_summary();
}

fn bench(criterion: &mut Criterion, name: &str, size: Size, mut traffic: Traffic) {
    let id = format!("reply/{name}/{size}");
    criterion.bench_function(&id, |bencher| {
        bencher.iter_custom(|announces| traffic.time(announces));
    });
}
