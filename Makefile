# What can be run, and what for. `make test` is everything, in the order in which it is worth knowing.

SEEDS ?= 2000

.PHONY: build setup cluster cluster-suites health faults test quick sim mutants bench

build:
	cargo build --release --locked

# Installs and fetches by name what all of it needs: Debian packages (as root), crates, Apache Kafka, what the suites take from npm and PyPI.
setup:
	@scripts/setup

# Whether the nodes of `make cluster`, or the one at http://localhost:3000, are ready: exit code 0 if all are.
health:
	@scripts/health

# A node with real engines on this machine, until Ctrl-C: docs/cluster.md.
cluster: build
	@cargo run --release --locked -p kervan-devcluster

# The tests of the SDKs, of REST and of the pages against servers on real engines.
cluster-suites: build
	cargo build --release --locked -p kervan-devcluster
	tests/cluster/run sdk
	tests/cluster/run rest
	tests/cluster/run browser

# Brokers, database, Redis and nodes die under load for half an hour: make faults SEED=7 FAULTS=200 MINUTES=60.
faults: build
	@scripts/faults long

# Everything; the last line is "N passed, N failed".
test:
	@scripts/test

# What to run before each commit: a minute or two.
quick:
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace --lib --bins

# The simulation: make sim SEEDS=100000. A failing seed is printed and replays.
sim:
	@scripts/sim $(SEEDS)

# Mistakes planted one at a time, and which tests find them: some twenty minutes.
mutants:
	@scripts/mutants

# The figures of docs/performance.md: some ten minutes.
bench:
	cargo build --release --locked -p kervan -p kervan-loadtest --bins --examples
	target/release/kervan-loadtest journal
	target/release/kervan-loadtest acks
	target/release/kervan-loadtest sendacks
	target/release/kervan-loadtest activation
	target/release/kervan-loadtest lists
	target/release/kervan-loadtest fairness
	target/release/kervan-loadtest actors
	target/release/kervan-loadtest storm
	target/release/kervan-loadtest idle
	target/release/kervan-loadtest fanout target/release/kervan 1 1000
	target/release/kervan-loadtest fanout target/release/kervan 500 20
	target/release/kervan-loadtest restart
	target/release/examples/projector
