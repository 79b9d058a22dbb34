//! What an earlier process left behind, brought into a state that a [`Reader`](super::Reader) can follow.
//!
//! Whole frames are kept, wherever they are. A torn end is cut off. A segment with damage before whole frames is written
//! anew without it, and the file as it was is kept aside. So the reader needs to know nothing of damage.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::log::Segment;
use super::scan::{Run, Scan, Tail, scan};
use super::segment::{self, Head};
use super::{Finding, JournalId, OpenError, Position, Recovery, failed};

pub(super) struct Recovered {
    pub(super) segments: VecDeque<Segment>,
    pub(super) report: Recovery,
}

/// Reads the segments in `dir`, and mends them.
pub(super) fn recover(
    dir: &Path,
    id: JournalId,
    applied: Position,
) -> Result<Recovered, OpenError> {
    let mut recovery = Recovering {
        dir,
        id,
        segments: VecDeque::new(),
        runs: Vec::new(),
        findings: Vec::new(),
        end: 0,
    };
    // From the last to the first: where a segment begins tells what of the one before it counts.
    let mut before = None;
    for (first, head) in recovery.list()?.into_iter().rev() {
        if let Some(next) = before
            && next <= applied.0 + 1
        {
            let path = segment::path(dir, first);
            fs::remove_file(&path).map_err(failed("delete", &path))?;
            continue;
        }
        let begins = recovery.take(first, head, before)?;
        before = begins.or(before);
    }
    recovery.runs.reverse();
    recovery.findings.reverse();
    Ok(recovery.report(applied))
}

struct Recovering<'a> {
    dir: &'a Path,
    id: JournalId,
    segments: VecDeque<Segment>,
    /// What can be read, the last first.
    runs: Vec<Run>,
    /// The last first.
    findings: Vec<Finding>,
    /// The last position given out, as far as headers and frames tell.
    end: u64,
}

impl Recovering<'_> {
    /// Segments in order, with what their headers say. Another journal's are moved aside; a newer program's end it,
    /// before anything was touched.
    fn list(&mut self) -> Result<Vec<(u64, Head)>, OpenError> {
        let mut firsts = Vec::new();
        for entry in fs::read_dir(self.dir).map_err(failed("list", self.dir))? {
            let entry = entry.map_err(failed("list", self.dir))?;
            firsts.extend(entry.file_name().to_str().and_then(segment::position_in));
        }
        firsts.sort_unstable();
        let mut heads = Vec::new();
        for first in firsts {
            let path = segment::path(self.dir, first);
            let head = read_head(&path, self.id).map_err(failed("read", &path))?;
            if let Head::Newer { version } = head {
                return Err(OpenError::Newer { path, version });
            }
            heads.push((first, head));
        }
        for &(first, head) in heads.iter().rev() {
            if let Head::Foreign(id) = head {
                let file = segment::path(self.dir, first);
                let kept = move_aside(&file, "foreign")?;
                self.findings.push(Finding::Foreign { file, id, kept });
            }
        }
        heads.retain(|(_, head)| !matches!(head, Head::Foreign(_)));
        Ok(heads)
    }

    /// Takes what can be read of one segment. Returns where it begins, if that is certain.
    fn take(
        &mut self,
        first: u64,
        head: Head,
        before: Option<u64>,
    ) -> Result<Option<u64>, OpenError> {
        let file = segment::path(self.dir, first);
        let bytes = fs::read(&file).map_err(failed("read", &file))?;
        let scan = scan(self.id, &bytes, first, before);
        let begins = if head == (Head::Ours { first }) {
            self.end = self.end.max(first - 1);
            Some(first)
        } else {
            scan.runs.first().map(|run| run.first)
        };
        let Some(last) = scan.runs.last().map(|run| run.last) else {
            self.put_away(file, &bytes, &scan)?;
            return Ok(begins);
        };
        self.end = self.end.max(last);
        let len = self.mend(file, first, &bytes, &scan)?;
        self.segments.push_front(Segment {
            first,
            last,
            len,
            disk_bytes: len,
            sealed: true,
            unsynced: None,
            sync_failed: false,
        });
        self.runs.extend(scan.runs.iter().rev());
        Ok(begins)
    }

    /// No record in it: deletes the file if there never was one, and else keeps it.
    fn put_away(&mut self, file: PathBuf, bytes: &[u8], scan: &Scan) -> Result<(), OpenError> {
        if bytes.iter().all(|&byte| byte == 0) || scan.is_whole() && scan.tail == Tail::Clean {
            return fs::remove_file(&file).map_err(failed("delete", &file));
        }
        if let (true, Tail::Torn(range)) = (scan.is_whole(), &scan.tail) {
            fs::remove_file(&file).map_err(failed("delete", &file))?;
            let bytes = in_file(range);
            self.findings.push(Finding::TornTail { file, bytes });
            return Ok(());
        }
        let kept = move_aside(&file, "damaged")?;
        self.findings.push(Finding::Unreadable { file, kept });
        Ok(())
    }

    /// Leaves nothing but whole frames in the file, on disk. Returns its length.
    fn mend(
        &mut self,
        file: PathBuf,
        first: u64,
        bytes: &[u8],
        scan: &Scan,
    ) -> Result<u64, OpenError> {
        let mut damage: Vec<_> = scan.damage.iter().map(in_file).collect();
        if let Tail::Damaged(range) = &scan.tail {
            damage.push(in_file(range));
        }
        if !damage.is_empty() {
            let kept = copy_aside(&file)?;
            self.findings.push(Finding::Damaged {
                file: file.clone(),
                bytes: damage,
                kept,
            });
        }
        let len = if scan.is_whole() {
            cut(&file, scan.end as u64).map_err(failed("cut", &file))?
        } else {
            self.write_anew(&file, first, bytes, scan)
                .map_err(failed("mend", &file))?
        };
        match &scan.tail {
            Tail::Clean | Tail::Damaged(_) => {}
            Tail::Torn(range) => self.findings.push(Finding::TornTail {
                file,
                bytes: in_file(range),
            }),
            Tail::Void(range) => self.findings.push(Finding::FailedWrite {
                file,
                bytes: in_file(range),
            }),
        }
        Ok(len)
    }

    fn write_anew(&self, file: &Path, first: u64, bytes: &[u8], scan: &Scan) -> io::Result<u64> {
        let mut whole = segment::header(self.id, first).to_vec();
        for frame in &scan.frames {
            whole.extend_from_slice(&bytes[frame.clone()]);
        }
        let path = file.with_extension("mended");
        let mut mended = segment::create(&path)?;
        mended.write_all(&whole)?;
        mended.sync_all()?;
        fs::rename(path, file)?;
        Ok(whole.len() as u64)
    }

    /// Compares what there is with what the database has.
    fn report(mut self, applied: Position) -> Recovered {
        let mut next = applied.0 + 1;
        let mut first = None;
        let mut records = 0;
        let end = Run {
            first: self.end + 1,
            last: self.end,
        };
        for (nth, run) in self.runs.iter().chain([&end]).enumerate() {
            if run.first > next {
                self.findings.push(if nth == 0 {
                    Finding::BeginsLate {
                        applied,
                        first: Position(run.first),
                    }
                } else {
                    Finding::Hole {
                        first: Position(next),
                        last: Position(run.first - 1),
                    }
                });
            }
            if run.last >= next {
                let from = run.first.max(next);
                first.get_or_insert(from);
                records += run.last + 1 - from;
            }
            next = next.max(run.last + 1);
        }
        if self.end > 0 && self.end < applied.0 {
            self.findings.push(Finding::AppliedAhead {
                applied,
                last: Position(self.end),
            });
        }
        Recovered {
            segments: self.segments,
            report: Recovery {
                first: Position(first.unwrap_or(next)),
                last: Position(next - 1),
                records,
                findings: self.findings,
            },
        }
    }
}

fn read_head(path: &Path, id: JournalId) -> io::Result<Head> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(segment::HEADER as u64)
        .read_to_end(&mut bytes)?;
    Ok(Head::read(id, &bytes))
}

/// Also makes sure that what remains is on disk: the process that wrote it may not have got round to it.
fn cut(path: &Path, len: u64) -> io::Result<u64> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(len)?;
    file.sync_all()?;
    Ok(len)
}

fn move_aside(file: &Path, why: &str) -> Result<PathBuf, OpenError> {
    let kept = free_name(file, why);
    fs::rename(file, &kept).map_err(failed("move aside", file))?;
    Ok(kept)
}

/// A copy and not a second name: the file may be cut in place.
fn copy_aside(file: &Path) -> Result<PathBuf, OpenError> {
    let kept = free_name(file, "damaged");
    fs::copy(file, &kept).map_err(failed("copy", file))?;
    Ok(kept)
}

/// `1.journal.damaged`, or `1.journal.damaged.2` if that exists, and so on.
fn free_name(file: &Path, why: &str) -> PathBuf {
    let mut kept = file.as_os_str().to_owned();
    kept.push(format!(".{why}"));
    let mut free = PathBuf::from(&kept);
    let mut number = 2_u32;
    while free.symlink_metadata().is_ok() {
        let mut next = kept.clone();
        next.push(format!(".{number}"));
        free = PathBuf::from(next);
        number += 1;
    }
    free
}

fn in_file(range: &Range<usize>) -> Range<u64> {
    range.start as u64..range.end as u64
}
