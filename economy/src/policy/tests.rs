use super::*;

#[test]
fn the_defaults_are_right() {
    let policy = Policy::parse(Policy::DEFAULT_TOML).expect("default.toml is right");
    assert_eq!(policy, Policy::default());
    assert_eq!(Policy::parse(""), Ok(policy), "and what a file leaves out");
}
