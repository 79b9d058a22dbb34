//! `sqlx::migrate!` embeds a folder, and cargo can't see a file added to it by itself.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
