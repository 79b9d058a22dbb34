//! Whole announces, by who asks in which swarm: between small and large there should be cache misses and no more.

use benches::traffic::Traffic;
use benches::{Size, workload};
use criterion::Criterion;
use tracker_core::record::Role;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (role, name) in [(Role::Leecher, "leechers"), (Role::Seeder, "seeders")] {
        let regulars = |size| workload::regulars(size, role);
        bench(&mut criterion, &format!("regular_{name}"), regulars);
        let everyone = |size| workload::everyone(size, role);
        bench(&mut criterion, &format!("all_{name}"), everyone);
    }
    bench(&mut criterion, "tokens", workload::tokens);
    bench(&mut criterion, "mix", workload::mix);
    bench(&mut criterion, "churn", workload::churn);
    criterion.final_summary();
}

fn bench(criterion: &mut Criterion, name: &str, workload: impl Fn(Size) -> Traffic) {
    for &size in Size::of_this_run() {
        let mut traffic = workload(size);
        let id = format!("swarm/{name}/{size}");
        criterion.bench_function(&id, |bencher| {
            bencher.iter_custom(|announces| traffic.time(announces));
        });
    }
}
