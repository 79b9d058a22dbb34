//! Names as torrents have them: words by Zipf, so that a search may be for a common one or for a rare one; years,
//! episodes, resolutions and groups, which hundreds of thousands share.

use rand::RngExt;
use rand::rngs::SmallRng;

/// Different words in all names together.
const WORDS: u32 = 20_000;

/// A word that some twenty of a million names have.
pub(super) fn rare() -> String {
    word(15_000)
}

/// A name for a torrent of that category.
pub(super) fn name(rng: &mut SmallRng, category: &str) -> String {
    let separator = ['.', ' '][usize::from(category == "music" || category == "books")];
    let count = rng.random_range(1..=4);
    let words: Vec<_> = (0..count).map(|_| any(rng)).collect();
    let title = words.join(&separator.to_string());
    let year = rng.random_range(1950..=2026);
    match category {
        "tv" | "anime" => {
            let (season, episode) = (rng.random_range(1..=12), rng.random_range(1..=24));
            let (quality, group) = (pick(rng, &QUALITIES), any(rng).to_uppercase());
            format!("{title}.S{season:02}E{episode:02}.{quality}.WEB-DL.AAC2.0.H.264-{group}")
        }
        "music" => format!("{} - {title} ({year}) [FLAC]", any(rng)),
        "movies" | "xxx" => {
            let (quality, source) = (pick(rng, &QUALITIES), pick(rng, &SOURCES));
            let group = any(rng).to_uppercase();
            format!("{title}.{year}.{quality}.{source}.x264-{group}")
        }
        _ => format!("{title}{separator}{year}{separator}v{}", year % 30),
    }
}

const QUALITIES: [&str; 4] = ["1080p", "1080p", "720p", "2160p"];
const SOURCES: [&str; 3] = ["BluRay", "WEB-DL", "HDTV"];
const COMMON: [&str; 12] = [
    "The", "Of", "And", "A", "In", "Love", "Night", "Dead", "Last", "Man", "World", "House",
];

fn pick<'a>(rng: &mut SmallRng, of: &[&'a str]) -> &'a str {
    of[rng.random_range(0..of.len())]
}

/// The n-th as often as 1/n.
fn any(rng: &mut SmallRng) -> String {
    let exponent = rng.random_range(0.0..1.0);
    word(f64::from(WORDS).powf(exponent) as u32 - 1)
}

/// A word's number in syllables.
fn word(rank: u32) -> String {
    if let Some(common) = COMMON.get(rank as usize) {
        return (*common).to_owned();
    }
    let mut word = String::new();
    let mut rest = rank;
    while rest > 0 {
        let (consonant, vowel) = (rest % 16, rest / 16 % 5);
        word.push(char::from(b"bdfgjklmnprstvwz"[consonant as usize]));
        word.push(char::from(b"aeiou"[vowel as usize]));
        rest /= 80;
    }
    word[..1].make_ascii_uppercase();
    word
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_word_is_common_or_rare() {
        let mut rng = SmallRng::seed_from_u64(1);
        let names: Vec<_> = (0..20_000).map(|_| name(&mut rng, "movies")).collect();
        let having = |word: &str| {
            let has = |name: &&String| name.split('.').any(|part| part == word);
            names.iter().filter(has).count()
        };
        assert!((8_000..12_000).contains(&having("1080p")));
        assert!((2_000..8_000).contains(&having("The")));
        assert!(having(&rare()) < 10);
    }
}
