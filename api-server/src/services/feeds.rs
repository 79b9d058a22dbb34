//! Feeds for programs: Torznab, which is Newznab's protocol for torrents, and RSS. Their links carry the reader's own API
//! key, so that a program fetches a .torrent with nothing else to show.

use std::collections::BTreeMap;
use std::io;

use quick_xml::events::BytesText;
use serde::Deserialize;
use store::{Listed, Sight, Sort, TorrentQuery};
use utoipa::IntoParams;

use super::torrents::{self, Category, SEARCH_MAX, TorrentView};
use crate::caller::{ShownKey, by_api_key};
use crate::page::Paging;
use crate::problem::Problem;
use crate::scope::Scope;
use crate::site::Site;
use crate::xml::{self, Xml};

/// Items of an answer, unless fewer are asked for: what Sonarr and its kin ask for.
const ITEMS_MAX: u32 = 100;

/// The largest `offset`: the database reads what it skips. Sonarr goes to 2,900.
const OFFSET_MAX: u32 = 5000;

/// Functions of Newznab that this site hasn't.
const ELSEWHERE: [&str; 9] = [
    "audio", "book", "comments", "details", "get", "getnfo", "music", "register", "user",
];

/// Names say nothing of them.
const IDS: [&str; 7] = [
    "doubanid", "imdbid", "rid", "tmdbid", "traktid", "tvdbid", "tvmazeid",
];

/// Where a feed was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Where links begin: scheme, host, port, no slash at the end.
    pub(crate) base: String,
    /// Path and query.
    pub(crate) target: String,
}

/// What a program asks by Torznab. It may say more, which changes nothing.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct TorznabQuery {
    /// The function: `caps`, `search`, `tvsearch` or `movie`.
    #[param(required, example = "search")]
    pub t: Option<String>,
    /// Words of the name, the last one its beginning at least.
    #[param(max_length = 200, example = "brown fo")]
    pub q: Option<String>,
    /// Numbers of categories, as `caps` lists them, with commas between. A whole thousand includes what is under it; a
    /// number that is finer than this site's stands for its thousand.
    #[param(example = "5000,2000")]
    pub cat: Option<String>,
    /// For `tvsearch`: the season, or a daily programme's year.
    #[param(example = "1")]
    pub season: Option<String>,
    /// For `tvsearch`: the episode, or a daily programme's `month/day`.
    #[param(example = "2")]
    pub ep: Option<String>,
    /// Items at most: 1 to 100, which is the default.
    #[param(value_type = Option<u32>, maximum = 100, default = 100)]
    pub limit: Option<String>,
    /// Items to skip: 5,000 at most.
    #[param(value_type = Option<u32>, maximum = 5000, default = 0)]
    pub offset: Option<String>,
    #[param(ignore)]
    #[serde(flatten)]
    others: BTreeMap<String, String>,
}

/// Which torrents a feed has.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct RssQuery {
    /// Words of the name, the last one its beginning at least.
    #[param(max_length = 200, example = "brown fo")]
    pub search: String,
    /// Of one category only.
    #[param(inline)]
    pub category: Option<Category>,
    /// Of one member only: their name.
    pub uploader: Option<String>,
    /// Items: 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
}

/// What Torznab answers.
pub(crate) enum Answer {
    Caps(Vec<u8>),
    Feed(Vec<u8>),
}

/// Why Torznab doesn't.
#[derive(Debug)]
pub(crate) struct Refusal {
    code: u16,
    description: String,
    /// The HTTP status: 200 for what is a fault of the question.
    pub(crate) status: u16,
    /// Seconds after which the same question may be answered.
    pub(crate) retry_after: Option<u32>,
}

/// What the words and numbers of a question come to.
#[derive(Debug, PartialEq, Eq)]
struct Search {
    words: String,
    /// `None`: any. None of them: nothing is found.
    categories: Option<Vec<store::Category>>,
}

/// `caps` is for everybody, as programs ask for it before they have a key.
pub(crate) async fn torznab(
    site: &Site,
    shown: &ShownKey,
    place: &Place,
    asked: TorznabQuery,
) -> Result<Answer, Refusal> {
    let function = asked.t.as_deref().unwrap_or_default();
    match function {
        "caps" => return Ok(Answer::Caps(caps()?)),
        "search" | "tvsearch" | "movie" => {}
        "" => return Err(Refusal::new(200, "Missing parameter: t")),
        known if ELSEWHERE.contains(&known) => {
            return Err(Refusal::new(203, "Function not available"));
        }
        _ => return Err(Refusal::new(202, "No such function")),
    }
    // Sonarr and Prowlarr know these two words, and ask for the key.
    let key = shown.key.as_deref();
    let key = key.ok_or_else(|| Refusal::new(200, "Missing parameter"))?;
    admit(site, key, shown).await?;
    let search = asked.search(function)?;
    let limit = match number("limit", asked.limit.as_deref())? {
        None | Some(0) => ITEMS_MAX,
        Some(limit) => limit.min(ITEMS_MAX),
    };
    let offset = number("offset", asked.offset.as_deref())?.unwrap_or(0);
    if offset > OFFSET_MAX {
        return Err(incorrect("offset", &format!("at most {OFFSET_MAX}")));
    }
    let mut rows = match search.categories {
        Some(categories) if categories.is_empty() => Vec::new(),
        categories => {
            let query = TorrentQuery {
                sight: Sight::Open,
                search: search.words,
                categories: categories.unwrap_or_default(),
                uploader: None,
                sort: Sort::Newest,
                after: None,
                skip: offset,
                limit: limit + 1,
            };
            site.store
                .list_torrents(&query)
                .await
                .map_err(Problem::from)?
        }
    };
    // How many there are in all is known on the last page alone: counting them would read them.
    let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let is_last = count <= limit && (count > 0 || offset == 0);
    let total = is_last.then(|| offset + count);
    rows.truncate(limit as usize);
    let rows = views(site, rows).await?;
    let feed = Feed { key, place };
    Ok(Answer::Feed(feed.torznab(&rows, offset, total)?))
}

/// The newest torrents.
pub(crate) async fn rss(
    site: &Site,
    shown: &ShownKey,
    place: &Place,
    asked: RssQuery,
) -> Result<Vec<u8>, Problem> {
    let key = shown.key.as_deref().ok_or_else(|| {
        Problem::UNAUTHENTICATED.detail("a feed takes an API key: `apikey=` in its address")
    })?;
    admit(site, key, shown).await?;
    let paging = Paging {
        limit: asked.limit,
        cursor: None,
    };
    let (limit, _) = paging.read::<0>()?;
    if asked.search.chars().count() > SEARCH_MAX {
        let right = format!("at most {SEARCH_MAX} characters");
        return Err(Problem::invalid("search", right));
    }
    let uploader = match &asked.uploader {
        None => Some(None),
        Some(name) => torrents::find_uploader(site, name).await?.map(Some),
    };
    let rows = match uploader {
        None => Vec::new(),
        Some(uploader) => {
            let query = TorrentQuery {
                sight: Sight::Open,
                search: asked.search,
                categories: asked
                    .category
                    .map(|category| category.0)
                    .into_iter()
                    .collect(),
                uploader,
                sort: Sort::Newest,
                after: None,
                skip: 0,
                limit,
            };
            site.store.list_torrents(&query).await?
        }
    };
    let rows = views(site, rows).await?;
    Feed { key, place }.rss(&rows)
}

async fn admit(site: &Site, key: &str, shown: &ShownKey) -> Result<(), Problem> {
    by_api_key(site, key, &[Scope::Feeds, Scope::Read], &shown.counted).await?;
    Ok(())
}

impl TorznabQuery {
    /// A function without categories looks where its name says.
    fn search(&self, function: &str) -> Result<Search, Refusal> {
        let q = self.q.as_deref().unwrap_or_default().trim();
        if q.chars().count() > SEARCH_MAX {
            return Err(incorrect("q", &format!("at most {SEARCH_MAX} characters")));
        }
        let cat = self.cat.as_deref().filter(|cat| !cat.trim().is_empty());
        let (usual, episode) = match function {
            "tvsearch" => {
                let episode = episode(self.season.as_deref(), self.ep.as_deref())?;
                (Some("5000"), episode)
            }
            "movie" => (Some("2000"), String::new()),
            _ => (None, String::new()),
        };
        let words = format!("{q} {episode}").trim().to_owned();
        // By an id alone nothing can be found here, which isn't to say that everything is.
        let is_by_id = words.is_empty() && IDS.iter().any(|id| self.others.contains_key(*id));
        let categories = match (is_by_id, cat.or(usual)) {
            (true, _) => Some(Vec::new()),
            (false, cat) => cat.map(categories),
        };
        Ok(Search { words, categories })
    }
}

/// What isn't the number of a category here finds nothing.
fn categories(list: &str) -> Vec<store::Category> {
    let numbers: Vec<u32> = list
        .split(',')
        .filter_map(|number| number.trim().parse().ok())
        .collect();
    let is_wanted = |category: &store::Category| {
        let own = category.torznab();
        numbers.iter().any(|&number| match number % 1000 {
            0 => number == own / 1000 * 1000,
            _ => number == own || (number / 1000 * 1000 == own && !is_category(number)),
        })
    };
    let all = store::Category::ALL.iter().copied();
    all.filter(is_wanted).collect()
}

fn is_category(number: u32) -> bool {
    store::Category::ALL
        .iter()
        .any(|category| category.torznab() == number)
}

/// As names of releases have it: `S01E02`, `S01`, or a date's three numbers.
fn episode(season: Option<&str>, ep: Option<&str>) -> Result<String, Refusal> {
    let given =
        |text: Option<&str>| Some(text?.trim().to_uppercase()).filter(|text| !text.is_empty());
    let season = match given(season) {
        None => None,
        Some(text) => {
            let digits = text.strip_prefix('S').unwrap_or(&text);
            let wrong = |_| incorrect("season", "a number");
            Some(digits.parse::<u16>().map_err(wrong)?)
        }
    };
    let wrong = || {
        incorrect(
            "ep",
            "a number, or month/day of the year that is the season",
        )
    };
    let is_year = |season: u16| (1900..=2999).contains(&season);
    match (season, given(ep)) {
        (None, None) => Ok(String::new()),
        (Some(year), None) if is_year(year) => Ok(format!("{year}")),
        (Some(season), None) => Ok(format!("S{season:02}")),
        (season, Some(text)) => match (season, text.split_once('/')) {
            (Some(year), Some((month, day))) if is_year(year) => {
                let part = |text: &str, most: u8| {
                    let part: u8 = text.trim().parse().ok()?;
                    (1..=most).contains(&part).then_some(part)
                };
                let month = part(month, 12).ok_or_else(wrong)?;
                let day = part(day, 31).ok_or_else(wrong)?;
                Ok(format!("{year} {month:02} {day:02}"))
            }
            (_, Some(_)) => Err(wrong()),
            (season, None) => {
                let digits = text.strip_prefix('E').unwrap_or(&text);
                let ep: u16 = digits.parse().map_err(|_| wrong())?;
                let season = season.map(|season| format!("S{season:02}"));
                Ok(format!("{}E{ep:02}", season.unwrap_or_default()))
            }
        },
    }
}

fn number(name: &str, text: Option<&str>) -> Result<Option<u32>, Refusal> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    let number = text.map(str::parse).transpose();
    number.map_err(|_| incorrect(name, "a whole number"))
}

fn incorrect(name: &str, right: &str) -> Refusal {
    Refusal::new(201, &format!("Incorrect parameter: {name}: {right}"))
}

fn caps() -> Result<Vec<u8>, Problem> {
    let max = ITEMS_MAX.to_string();
    xml::document(|xml| {
        xml.create_element("caps").write_inner_content(|xml| {
            let version = env!("CARGO_PKG_VERSION");
            xml::empty(xml, "server", &[("title", "Purser"), ("version", version)])?;
            xml::empty(xml, "limits", &[("max", &max), ("default", &max)])?;
            xml::empty(xml, "registration", &[("available", "no"), ("open", "no")])?;
            xml.create_element("searching").write_inner_content(|xml| {
                for (function, available, params) in [
                    ("search", "yes", "q"),
                    ("tv-search", "yes", "q,season,ep"),
                    ("movie-search", "yes", "q"),
                    ("music-search", "no", ""),
                    ("audio-search", "no", ""),
                    ("book-search", "no", ""),
                ] {
                    let attributes = [("available", available), ("supportedParams", params)];
                    xml::empty(xml, function, &attributes)?;
                }
                Ok(())
            })?;
            xml.create_element("categories")
                .write_inner_content(|xml| {
                    let mut all = store::Category::ALL.to_vec();
                    all.sort_by_key(|category| category.torznab());
                    for top in all.iter().filter(|top| top.torznab() % 1000 == 0) {
                        let id = top.torznab().to_string();
                        xml.create_element("category")
                            .with_attributes([("id", id.as_str()), ("name", top.torznab_name())])
                            .write_inner_content(|xml| {
                                let under = |one: &&store::Category| {
                                    one != &top && one.torznab() / 1000 == top.torznab() / 1000
                                };
                                for one in all.iter().filter(under) {
                                    let id = one.torznab().to_string();
                                    let attributes =
                                        [("id", id.as_str()), ("name", one.torznab_name())];
                                    xml::empty(xml, "subcat", &attributes)?;
                                }
                                Ok(())
                            })?;
                    }
                    Ok(())
                })?;
            Ok(())
        })?;
        Ok(())
    })
}

/// A list as RSS 2.0.
struct Feed<'a> {
    key: &'a str,
    place: &'a Place,
}

impl Feed<'_> {
    fn torznab(
        &self,
        rows: &[TorrentView],
        offset: u32,
        total: Option<u32>,
    ) -> Result<Vec<u8>, Problem> {
        let namespaces = [
            ("xmlns:torznab", "http://torznab.com/schemas/2015/feed"),
            (
                "xmlns:newznab",
                "http://www.newznab.com/DTD/2010/feeds/attributes/",
            ),
        ];
        self.write(&namespaces, |xml| {
            let offset = offset.to_string();
            let total = total.map(|total| total.to_string());
            let mut attributes = vec![("offset", offset.as_str())];
            attributes.extend(total.as_deref().map(|total| ("total", total)));
            xml::empty(xml, "newznab:response", &attributes)?;
            for row in rows {
                xml.create_element("item").write_inner_content(|xml| {
                    self.item(xml, row)?;
                    attributes_of(xml, row)
                })?;
            }
            Ok(())
        })
    }

    fn rss(&self, rows: &[TorrentView]) -> Result<Vec<u8>, Problem> {
        self.write(&[], |xml| {
            for row in rows {
                xml.create_element("item")
                    .write_inner_content(|xml| self.item(xml, row))?;
            }
            Ok(())
        })
    }

    fn write(
        &self,
        namespaces: &[(&str, &str)],
        items: impl FnOnce(&mut Xml) -> io::Result<()>,
    ) -> Result<Vec<u8>, Problem> {
        let Place { base, target } = self.place;
        xml::document(|xml| {
            xml.create_element("rss")
                .with_attribute(("version", "2.0"))
                .with_attribute(("xmlns:atom", "http://www.w3.org/2005/Atom"))
                .with_attributes(namespaces.iter().copied())
                .write_inner_content(|xml| {
                    xml.create_element("channel").write_inner_content(|xml| {
                        let here = format!("{base}{target}");
                        let kind = "application/rss+xml";
                        let link = [("href", here.as_str()), ("rel", "self"), ("type", kind)];
                        xml::empty(xml, "atom:link", &link)?;
                        xml::text(xml, "title", "Purser")?;
                        xml::text(
                            xml,
                            "description",
                            "Torrents of this site, the newest first",
                        )?;
                        xml::text(xml, "link", &format!("{base}/"))?;
                        items(xml)
                    })?;
                    Ok(())
                })?;
            Ok(())
        })
    }

    /// What RSS has of its own. `link` is the download, as autobrr takes it for that.
    fn item(&self, xml: &mut Xml, row: &TorrentView) -> io::Result<()> {
        let hash = &row.info_hash;
        let page = format!("{}/api/torrents/{hash}/", self.place.base);
        let download = format!("{page}download/?apikey={}", self.key);
        xml::text(xml, "title", &row.name)?;
        // The same whatever the site is called.
        let guid = format!("urn:btih:{hash}");
        xml.create_element("guid")
            .with_attribute(("isPermaLink", "false"))
            .write_text_content(BytesText::new(&guid))?;
        xml::text(xml, "link", &download)?;
        xml::text(xml, "comments", &page)?;
        xml::text(xml, "pubDate", &row.created_at.rfc2822())?;
        xml::text(xml, "category", row.category.0.torznab_name())?;
        // Of a torrent everybody takes it for the content's.
        let length = row.size.to_string();
        let enclosure = [
            ("url", download.as_str()),
            ("length", length.as_str()),
            ("type", "application/x-bittorrent"),
        ];
        xml::empty(xml, "enclosure", &enclosure)
    }
}

fn attributes_of(xml: &mut Xml, row: &TorrentView) -> io::Result<()> {
    // autobrr reads this one, the others the attribute.
    xml::text(xml, "size", &row.size.to_string())?;
    let number = u64::from(row.category.0.torznab());
    let top = number / 1000 * 1000;
    let top = (top != number).then_some(("category", top));
    let attributes = [
        ("category", number),
        ("size", row.size),
        ("seeders", row.seeders),
        ("peers", row.seeders.saturating_add(row.leechers)),
        ("grabs", row.completed),
        ("files", row.file_count),
        ("downloadvolumefactor", u64::from(!row.freeleech)),
        ("uploadvolumefactor", 1),
    ];
    for (name, value) in top.into_iter().chain(attributes) {
        attribute(xml, name, &value.to_string())?;
    }
    attribute(xml, "infohash", &row.info_hash)
}

fn attribute(xml: &mut Xml, name: &str, value: &str) -> io::Result<()> {
    xml::empty(xml, "torznab:attr", &[("name", name), ("value", value)])
}

impl Refusal {
    fn new(code: u16, description: &str) -> Self {
        Self {
            code,
            description: description.to_owned(),
            status: 200,
            retry_after: None,
        }
    }

    pub(crate) fn write(&self) -> Result<Vec<u8>, Problem> {
        let code = self.code.to_string();
        xml::document(|xml| {
            let attributes = [("code", code.as_str()), ("description", &self.description)];
            xml::empty(xml, "error", &attributes)
        })
    }
}

/// In Newznab's numbers.
impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let is = |kind: &Problem| problem.kind == kind.kind;
        let (code, description) = if is(&Problem::UNAUTHENTICATED) {
            (100, "Incorrect user credentials")
        } else if is(&Problem::DISABLED) {
            (101, "Account suspended")
        } else if is(&Problem::FORBIDDEN) {
            (102, "Insufficient privileges/not authorized")
        } else if is(&Problem::TOO_MANY) {
            (500, "Request limit reached")
        } else if problem.status < 500 {
            (201, "Incorrect parameter")
        } else {
            (900, problem.title)
        };
        let mut reasons = problem.detail.iter().cloned().chain(
            problem
                .errors
                .iter()
                .map(|error| format!("{}: {}", error.field, error.message)),
        );
        // Of an account nothing more is said than its state.
        let description = match reasons.next() {
            Some(reason) if code != 101 => format!("{description}: {reason}"),
            _ => description.to_owned(),
        };
        Self {
            code,
            description,
            // Programs know 429, and come again when it says so.
            status: match code {
                500 | 900 => problem.status,
                _ => 200,
            },
            retry_after: problem.retry_after,
        }
    }
}

async fn views(site: &Site, rows: Vec<Listed>) -> Result<Vec<TorrentView>, Problem> {
    let freeleech = site.store.freeleech(site.now()).await?;
    let view = |row| TorrentView::new(row, &freeleech);
    Ok(rows.into_iter().map(view).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use store::Category;

    use super::*;

    #[test]
    fn refusals_have_the_codes_of_newznab() {
        let away = Problem {
            retry_after: Some(5),
            ..Problem::UNAVAILABLE
        };
        let often = Problem {
            retry_after: Some(7),
            ..Problem::TOO_MANY
        };
        for (problem, code, status, retry_after) in [
            (Problem::UNAUTHENTICATED, 100, 200, None),
            (Problem::DISABLED, 101, 200, None),
            (Problem::FORBIDDEN, 102, 200, None),
            (Problem::invalid("q", "less"), 201, 200, None),
            (away, 900, 503, Some(5)),
            (Problem::INTERNAL, 900, 500, None),
            (often, 500, 429, Some(7)),
        ] {
            let refusal = Refusal::from(problem);
            let found = (refusal.code, refusal.status, refusal.retry_after);
            assert_eq!(found, (code, status, retry_after), "{refusal:?}");
        }
    }

    #[test]
    fn seasons_and_episodes_are_words_of_names() {
        for (season, ep, words) in [
            (None, None, ""),
            (Some("1"), None, "S01"),
            (Some("01"), Some("2"), "S01E02"),
            (Some("S01"), Some("E02"), "S01E02"),
            (Some("0"), Some("10"), "S00E10"),
            (Some("12"), Some("103"), "S12E103"),
            (Some("2024"), Some("05/17"), "2024 05 17"),
            (Some("2024"), Some("5/7"), "2024 05 07"),
            (Some("2024"), Some("3"), "S2024E03"),
            (Some("2024"), None, "2024"),
            (None, Some("7"), "E07"),
            (Some(" "), Some(""), ""),
        ] {
            assert_eq!(episode(season, ep).unwrap(), words, "{season:?} {ep:?}");
        }
        for (season, ep) in [
            (Some("one"), None),
            (Some("-1"), None),
            (Some("1"), Some("two")),
            (Some("1"), Some("02/22")),
            (Some("2024"), Some("13/01")),
            (Some("2024"), Some("12/32")),
            (None, Some("02/22")),
        ] {
            assert_eq!(
                episode(season, ep).unwrap_err().code,
                201,
                "{season:?} {ep:?}"
            );
        }
    }

    #[test]
    fn a_whole_thousand_is_all_under_it_and_finer_numbers_are_their_thousand() {
        for (list, found) in [
            ("5000", &[Category::Tv, Category::Anime][..]),
            ("5070", &[Category::Anime]),
            ("5030,5040", &[Category::Tv]),
            ("2000, 2040", &[Category::Movies]),
            (
                "5070,1000,5000",
                &[Category::Tv, Category::Games, Category::Anime],
            ),
            ("8010", &[Category::Other]),
            ("9000,0,70,100001,x,-1,,99999999999", &[]),
        ] {
            assert_eq!(categories(list), found, "{list}");
        }
    }

    #[test]
    fn functions_look_where_their_name_says() {
        let ask = |function: &str, pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()));
            let mut others: BTreeMap<String, String> = pairs.collect();
            let asked = TorznabQuery {
                q: others.remove("q"),
                cat: others.remove("cat"),
                season: others.remove("season"),
                others,
                ..TorznabQuery::default()
            };
            let Search { words, categories } = asked.search(function).unwrap();
            (words, categories)
        };
        let tv = vec![Category::Tv, Category::Anime];
        assert_eq!(ask("search", &[]), (String::new(), None));
        assert_eq!(
            ask("tvsearch", &[("q", " a b "), ("season", "3")]),
            ("a b S03".into(), Some(tv))
        );
        assert_eq!(
            ask("movie", &[("q", "a"), ("imdbid", "tt1"), ("season", "3")]),
            ("a".into(), Some(vec![Category::Movies]))
        );
        assert_eq!(
            ask("movie", &[("imdbid", "tt1")]),
            (String::new(), Some(Vec::new()))
        );
        assert_eq!(
            ask("movie", &[("q", "a"), ("cat", "9")]),
            ("a".into(), Some(Vec::new()))
        );
    }
}
