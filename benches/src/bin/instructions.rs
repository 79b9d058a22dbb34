//! `purser-bench-instructions`: how many instructions an announce takes, counted by valgrind.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    benches::instructions::main()
}
