//! Simulations as a picture: SVG, written by hand, in whole tenths of a pixel, so that the same figures give the same bytes.

use std::fmt::Write;

use tracker_core::registry::UserClass;

use super::Day;

const WIDTH: i64 = 860;
const LEFT: i64 = 90;
const RIGHT: i64 = 20;
const HEIGHT: i64 = 150;
/// Between panels: a title above, days below.
const GAP: i64 = 62;
const LINES: [&str; 4] = ["#5c6b73", "#2a7f62", "#c8963e", "#a04050"];
/// Lowest class first.
const CLASSES: [&str; 4] = ["#d9d3c3", "#9db4c0", "#2a7f62", "#c8963e"];

/// Credit in circulation, credit a member, Gini coefficient, warned members and classes, day by day, one run beside the
/// other: an SVG document. Four runs have colours of their own.
pub fn plot(runs: &[(&str, &[Day])]) -> String {
    let mut drawing = Drawing {
        parts: String::new(),
        top: 24,
    };
    let a_member = |amount: i64, day: &Day| amount / i64::try_from(day.members).unwrap_or(1).max(1);
    drawing.lines("Credits in circulation", runs, |day| day.supply_milli);
    drawing.lines("Credits in circulation, a member", runs, |day| {
        a_member(day.supply_milli, day)
    });
    drawing.lines(
        "Gini coefficient of balances: 0 all alike, 1 one has all",
        runs,
        |day| day.gini_milli.into(),
    );
    drawing.lines("Members who are warned, percent", runs, |day| {
        let warned = i64::try_from(day.warned).unwrap_or(i64::MAX);
        a_member(warned.saturating_mul(100_000), day)
    });
    for (name, days) in runs {
        drawing.shares(&format!("Members by class, percent: {name}"), days);
    }
    drawing.document()
}

struct Drawing {
    parts: String,
    top: i64,
}

impl Drawing {
    /// Values are in thousandths.
    fn lines(&mut self, title: &str, runs: &[(&str, &[Day])], value: impl Fn(&Day) -> i64) {
        let all = || runs.iter().flat_map(|(_, days)| days.iter());
        let (low, high) = bounds(
            all().map(&value).min().unwrap_or(0),
            all().map(&value).max().unwrap_or(0),
        );
        let longest = runs.iter().map(|(_, days)| days.len()).max().unwrap_or(0);
        let y_of = |value: i64, top: i64| {
            let share = i128::from(high - value) * i128::from(HEIGHT * 10) / i128::from(high - low);
            top * 10 + i64::try_from(share).unwrap_or(0)
        };
        self.frame(title, low, high, longest);
        let mut x = WIDTH - RIGHT;
        for ((name, days), colour) in runs.iter().zip(LINES).rev() {
            let points: Vec<String> = (0..)
                .zip(*days)
                .map(|(place, day)| point(x_of(place, longest), y_of(value(day), self.top)))
                .collect();
            self.part(format!(
                r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
                points.join(" ")
            ));
            self.text(x, self.top - 8, "end", colour, name);
            x -= 20 + 8 * i64::try_from(name.chars().count()).unwrap_or(0);
        }
        self.top += HEIGHT + GAP;
    }

    fn shares(&mut self, title: &str, days: &[Day]) {
        self.frame(title, 0, 100_000, days.len());
        let bottom = (self.top + HEIGHT) * 10;
        let y_of = |day: &Day, classes: usize| {
            let below: u64 = day.classes.iter().take(classes).sum();
            let share = u128::from(below) * 10 * HEIGHT.unsigned_abs() as u128;
            bottom - i64::try_from(share / u128::from(day.members.max(1))).unwrap_or(0)
        };
        let mut x = WIDTH - RIGHT;
        let classes = UserClass::ALL.into_iter().zip(CLASSES).enumerate();
        for (below, (class, colour)) in classes.rev() {
            let edge = |classes: usize| {
                (0..)
                    .zip(days)
                    .map(move |(place, day)| point(x_of(place, days.len()), y_of(day, classes)))
            };
            let mut points: Vec<String> = edge(below).collect();
            let upper: Vec<String> = edge(below + 1).collect();
            points.extend(upper.into_iter().rev());
            self.part(format!(
                r#"<polygon points="{}" fill="{colour}"/>"#,
                points.join(" ")
            ));
            self.text(x, self.top - 8, "end", "#22302b", class.name());
            x -= 10 + 9 * i64::try_from(class.name().len()).unwrap_or(0);
            self.part(format!(
                r#"<rect x="{}" y="{}" width="10" height="10" fill="{colour}"/>"#,
                x - 6,
                self.top - 17
            ));
            x -= 18;
        }
        self.top += HEIGHT + GAP;
    }

    fn frame(&mut self, title: &str, low: i64, high: i64, days: usize) {
        self.top += 14;
        self.text(LEFT, self.top - 8, "start", "#22302b", title);
        for step in 0..=2 {
            let y = self.top + HEIGHT * step / 2;
            let value = high - (high - low) / 2 * step;
            self.part(format!(
                r##"<path d="M{LEFT} {y}H{}" stroke="#d6dde6"/>"##,
                WIDTH - RIGHT
            ));
            self.text(LEFT - 8, y + 4, "end", "#22302b", &number(value));
        }
        let bottom = self.top + HEIGHT + 18;
        self.text(LEFT, bottom, "start", "#22302b", "day 1");
        self.text(
            WIDTH - RIGHT,
            bottom,
            "end",
            "#22302b",
            &format!("day {days}"),
        );
    }

    fn text(&mut self, x: i64, y: i64, anchor: &str, colour: &str, text: &str) {
        let text = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        self.part(format!(
            r#"<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{text}</text>"#
        ));
    }

    fn part(&mut self, part: String) {
        self.parts.push_str(&part);
        self.parts.push('\n');
    }

    fn document(self) -> String {
        let height = self.top - GAP + 40;
        let parts = self.parts;
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="13">
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
{parts}</svg>
"##
        )
    }
}

/// In tenths of a pixel.
fn x_of(place: i64, days: usize) -> i64 {
    let steps = i64::try_from(days).unwrap_or(i64::MAX).max(2) - 1;
    LEFT * 10 + (WIDTH - LEFT - RIGHT) * 10 * place / steps
}

fn point(x: i64, y: i64) -> String {
    format!("{}.{},{}.{}", x / 10, x % 10, y / 10, y % 10)
}

/// From 0, or from the lowest debt, to a round number above the highest value.
fn bounds(lowest: i64, highest: i64) -> (i64, i64) {
    let mut step = 200_i64;
    while step < i64::MAX / 20 && step.saturating_mul(5) < highest.max(lowest.saturating_neg()) {
        step *= 2;
        if step.to_string().starts_with(['8', '6', '3']) {
            step = step / 8 * 10; // 200, 400, 1000, …
        }
    }
    let up = |value: i64| value.saturating_add(step - 1) / step * step;
    let high = up(highest.max(step));
    let low = if lowest < 0 {
        -up(lowest.saturating_neg())
    } else {
        0
    };
    (low, high)
}

/// Thousandths as people write them: 1,250,000 or 0.35.
fn number(milli: i64) -> String {
    let mut text = String::new();
    if milli < 0 {
        text.push('-');
    }
    let (whole, rest) = (milli.unsigned_abs() / 1000, milli.unsigned_abs() % 1000);
    let digits = whole.to_string();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if rest > 0 {
        // Writing to a string can't fail.
        let _ = write!(text, ".{}", format!("{rest:03}").trim_end_matches('0'));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_round_and_holds_all() {
        assert_eq!(bounds(0, 0), (0, 200));
        assert_eq!(bounds(0, 850), (0, 1000));
        assert_eq!(bounds(-300, 5000), (-1000, 5000));
        let (low, high) = bounds(0, i64::MAX / 1000);
        assert!(low == 0 && high >= i64::MAX / 1000);
    }

    #[test]
    fn numbers_are_as_people_write_them() {
        assert_eq!(number(1_250_000_000), "1,250,000");
        assert_eq!(number(350), "0.35");
        assert_eq!(number(-12_345), "-12.345");
    }

    #[test]
    fn a_picture_of_nothing_is_a_picture_and_names_are_escaped() {
        let svg = plot(&[("<a&b>", &[])]);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("&lt;a&amp;b&gt;"));
        let day = [Day::default()];
        assert_eq!(plot(&[("one", &day)]), plot(&[("one", &day)]));
    }
}
