//! Jobs: of many who want one, one has it.

use store::{JobOutcome, JobRun, TakenJob};
use tracker_core::ids::UnixTime;

use crate::harness::{Database, NOW};

on_both_databases!(
    a_job_is_one_holders_until_they_end_it,
    a_dead_holders_job_is_taken_over,
    a_run_that_failed_or_was_given_back_leaves_it_due,
    of_many_at_once_one_takes_it,
);

const LEASE: u32 = 60;

fn at(secs: u32) -> UnixTime {
    UnixTime(NOW.0 + secs)
}

impl Database {
    async fn take(&self, holder: &str, due: Option<u32>, secs: u32) -> TakenJob {
        self.store
            .take_job("count", holder, due.map(at), at(secs), LEASE)
            .await
            .unwrap()
    }

    async fn end(&self, holder: &str, began: u32, outcome: JobOutcome) -> bool {
        self.store
            .end_job("count", holder, &run(began, outcome))
            .await
            .unwrap()
    }
}

fn run(began: u32, outcome: JobOutcome) -> JobRun {
    JobRun {
        started_at: at(began),
        duration_ms: 1234,
        outcome,
        report: "counted".to_owned(),
    }
}

async fn a_job_is_one_holders_until_they_end_it(db: Database) {
    assert_eq!(db.take("a", Some(0), 5).await, TakenJob::Taken);
    assert_eq!(db.take("b", Some(0), 5).await, TakenJob::Busy);
    assert_eq!(db.take("b", None, 5).await, TakenJob::Busy);
    let states = db.store.jobs().await.unwrap();
    assert_eq!(states[0].held_until, Some(at(5 + LEASE)));
    assert_eq!(states[0].last, None);
    assert!(db.end("a", 5, JobOutcome::Done).await);
    let states = db.store.jobs().await.unwrap();
    assert_eq!((states.len(), states[0].held_until), (1, None));
    assert_eq!(states[0].last, Some(run(5, JobOutcome::Done)));
    // It was due at 0, and is again at 60; whoever insists has it in between.
    assert_eq!(db.take("b", Some(0), 20).await, TakenJob::Done);
    assert_eq!(db.take("b", None, 20).await, TakenJob::Taken);
    assert!(db.end("b", 20, JobOutcome::Done).await);
    assert_eq!(db.take("b", Some(60), 60).await, TakenJob::Taken);
}

async fn a_dead_holders_job_is_taken_over(db: Database) {
    assert_eq!(db.take("a", Some(0), 0).await, TakenJob::Taken);
    assert!(db.store.keep_job("count", "a", at(100)).await.unwrap());
    assert_eq!(db.take("b", Some(0), 99).await, TakenJob::Busy);
    assert_eq!(db.take("b", Some(0), 100).await, TakenJob::Taken);
    // The dead one comes back.
    assert!(!db.store.keep_job("count", "a", at(500)).await.unwrap());
    db.store.give_job_back("count", "a").await.unwrap();
    assert!(!db.end("a", 0, JobOutcome::Done).await);
    assert_eq!(db.take("c", Some(0), 101).await, TakenJob::Busy);
    assert!(db.end("b", 100, JobOutcome::Done).await);
}

async fn a_run_that_failed_or_was_given_back_leaves_it_due(db: Database) {
    assert_eq!(db.take("a", Some(0), 0).await, TakenJob::Taken);
    assert!(db.end("a", 0, JobOutcome::Failed).await);
    assert_eq!(db.take("b", Some(0), 1).await, TakenJob::Taken);
    db.store.give_job_back("count", "b").await.unwrap();
    assert_eq!(db.take("c", Some(0), 2).await, TakenJob::Taken);
    assert!(db.end("c", 2, JobOutcome::Done).await);
    assert_eq!(db.take("d", Some(0), 3).await, TakenJob::Done);
}

async fn of_many_at_once_one_takes_it(db: Database) {
    let wishes = (0..8).map(|number| {
        let db = db.clone();
        tokio::spawn(async move { db.take(&number.to_string(), Some(0), 0).await })
    });
    let wishes: Vec<_> = wishes.collect();
    let mut taken = 0;
    for wish in wishes {
        taken += usize::from(wish.await.unwrap() == TakenJob::Taken);
    }
    assert_eq!(taken, 1);
}
