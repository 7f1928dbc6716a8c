"""The Compose files, and what they use."""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from ruamel.yaml import YAML

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
FILES = {"development": ROOT / "docker-compose.yml", "production": DEPLOY / "docker-compose.prod.yml"}
KERVAN = os.environ["KERVAN_BIN"]

# What the production file has otherwise than devcluster/src/settings.rs, and why.
OTHERWISE = {
    # Brokers that have machines of their own wait a little longer before they think each other dead.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
    "replica.lag.time.max.ms": "5000",
}


def parsed(path):
    return YAML(typ="safe").load(path)


COMPOSE = {name: parsed(path) for name, path in FILES.items()}
# The workers that stand alone.
KINDS = ["persistence", "realtime", "notification"]


def table(name):
    """A table of names and values of devcluster's settings."""
    text = (ROOT / "devcluster/src/settings.rs").read_text()
    body = re.search(rf"pub const {name}: &\[Setting\] = &\[(.*?)\n\];", text, re.S)
    found = dict(re.findall(r'\("([^"]+)", "([^"]*)"\)', body.group(1)))
    assert found, f"{name} is empty"
    return found


def services(compose, start):
    return {name: one for name, one in compose["services"].items() if re.fullmatch(rf"{start}(-\d+)?", name)}


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


def check_jsonschema(path):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return run(*command)


class Files(unittest.TestCase):
    def test_both_files_are_what_the_compose_specification_says(self):
        for path in FILES.values():
            checked = check_jsonschema(path)
            self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)

    def test_a_file_with_a_word_that_compose_does_not_know_is_refused(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as wrong:
            wrong.write(FILES["development"].read_text().replace("stop_grace_period", "stop_grace_time"))
            wrong.flush()
            self.assertEqual(check_jsonschema(wrong.name).returncode, 1)

    def test_everything_that_is_named_is_there(self):
        for name, compose in COMPOSE.items():
            folder = FILES[name].parent
            for config in compose["configs"].values():
                self.assertTrue((folder / config["file"]).is_file(), config)
            used = {"configs": set(), "secrets": set(), "volumes": set()}
            for service, one in compose["services"].items():
                used["configs"] |= {config["source"] for config in one.get("configs", [])}
                used["secrets"] |= set(one.get("secrets", []))
                used["volumes"] |= {volume.split(":")[0] for volume in one.get("volumes", [])}
                self.assertLessEqual(set(one.get("depends_on", [])), set(compose["services"]), service)
                if "build" in one:
                    context = folder / one["build"]["context"]
                    self.assertTrue((context / one["build"]["dockerfile"]).is_file())
                elif not one["image"].startswith("kervan"):
                    self.assertRegex(one["image"], r":v?\d+\.\d+", f"{service}: an image without a version")
            for kind, names in used.items():
                self.assertEqual(names, set(compose.get(kind, {})), f"{name}: {kind}")

    def test_production_comes_back_is_bounded_and_is_looked_at(self):
        for service, one in COMPOSE["production"]["services"].items():
            if one.get("restart") == "no":
                continue
            self.assertEqual(one["restart"], "unless-stopped", service)
            self.assertEqual(set(one["deploy"]["resources"]["limits"]), {"cpus", "memory"}, service)
            # Kervan's own image says how it is looked at.
            self.assertTrue("healthcheck" in one or one["image"].startswith("kervan"), service)

    def test_production_has_its_secrets_in_files_and_opens_one_port(self):
        compose = COMPOSE["production"]
        for service, one in compose["services"].items():
            for name, value in one.get("environment", {}).items():
                if re.search("PASSWORD|SECRET|TOKEN|_KEY|URL", name):
                    self.assertRegex(value, "^/run/secrets/", f"{service}: {name}")
            for port in one.get("ports", []):
                self.assertRegex(port, r"^(127\.0\.0\.1:|\$\{LISTEN:-127\.0\.0\.1:3000\})", service)
        for secret in compose["secrets"].values():
            self.assertRegex(secret["file"], "^./secrets/")
            ignored = run("git", "check-ignore", "-q", str(DEPLOY / secret["file"]), cwd=ROOT)
            self.assertEqual(ignored.returncode, 0, "git would take " + secret["file"])

    def test_development_opens_its_ports_to_this_machine_alone(self):
        for service, one in COMPOSE["development"]["services"].items():
            for port in one.get("ports", []):
                self.assertRegex(port, r"^127\.0\.0\.1:", service)
        ports = {service: one["ports"][0].split(":")[1] for service, one in COMPOSE["development"]["services"].items() if "ports" in one}
        self.assertEqual((ports["kafka-ui"], ports["redis-insight"], ports["balancer"]), ("8080", "8001", "3000"))


class Settings(unittest.TestCase):
    def test_kafka_is_set_up_as_devcluster_has_it(self):
        for name, compose in COMPOSE.items():
            wanted = table("KAFKA_SAFETY") | table("KAFKA_FAILOVER")
            wanted |= table("KAFKA_SMALL") if name == "development" else OTHERWISE
            brokers = services(compose, "kafka")
            self.assertEqual(len(brokers), 3)
            for broker, one in brokers.items():
                for setting, value in wanted.items():
                    variable = "KAFKA_" + setting.upper().replace(".", "_")
                    self.assertEqual(one["environment"].get(variable), value, f"{name}: {broker}: {setting}")
                self.assertEqual(one["environment"]["KAFKA_COMPRESSION_TYPE"], "lz4")
            ids = {one["environment"]["KAFKA_NODE_ID"] for one in brokers.values()}
            self.assertEqual(ids, {"1", "2", "3"})
            self.assertGreaterEqual(re.search(r"kafka:(\d+\.\d+)", compose["services"]["kafka-1"]["image"])[1], "4.1")

    def test_kervan_itself_makes_the_topics_before_it_starts(self):
        # With retention.ms=-1 and the other settings that it checks at each start.
        for compose in COMPOSE.values():
            job, kervan = compose["services"]["kafka-topics"], compose["services"]["kervan"]
            self.assertEqual((job["command"], job["image"]), (["topics", "create"], kervan["image"]))
            self.assertEqual(job["environment"]["KAFKA_BROKERS"], kervan["environment"]["KAFKA_BROKERS"])
            self.assertEqual(kervan["depends_on"]["kafka-topics"], {"condition": "service_completed_successfully"})
        self.assertEqual(run(KERVAN, "topics", "create", "--help").returncode, 0)
        self.assertIn('("retention.ms", "-1",', (ROOT / "src/storage/journal/kafka/topics.rs").read_text())

    def test_redis_is_set_up_as_devcluster_has_it(self):
        lines = (DEPLOY / "redis/redis.conf").read_text().splitlines()
        found = dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))
        self.assertEqual(table("REDIS"), {name: value for name, value in found.items() if name != "protected-mode"})
        for compose in COMPOSE.values():
            nodes = services(compose, "redis")
            self.assertEqual(len(nodes), 6)
            places = {f"{one['networks']['default']['ipv4_address']}:{one['environment']['PORT']}" for one in nodes.values()}
            self.assertEqual(set(compose["services"]["redis-cluster"]["command"][2:]), places)

    def test_postgresql_is_set_up_as_devcluster_has_it(self):
        more = {"max_slot_wal_keep_size", "hot_standby_feedback"}
        for name, compose in COMPOSE.items():
            for service in ["postgres", "postgres-replica"] if name == "production" else ["postgres"]:
                options = compose["services"][service]["command"][1:]
                found = dict(option.removeprefix("-c").split("=", 1) for option in options)
                self.assertEqual(table("POSTGRES"), {key: value for key, value in found.items() if key not in more})


class Parts(unittest.TestCase):
    def test_each_kind_of_worker_that_there_is_runs_beside_the_node(self):
        help = run(KERVAN, "worker", "--help").stdout
        kinds = [kind for kind in re.findall(r"^  (\w+) ", help, re.MULTILINE) if kind != "help"]
        self.assertEqual(kinds, KINDS)
        for name, compose in COMPOSE.items():
            workers = {one for one in compose["services"] if one.startswith("worker-")}
            self.assertEqual(workers, {f"worker-{kind}" for kind in kinds}, name)
            for kind in kinds:
                one = compose["services"][f"worker-{kind}"]
                self.assertEqual((one["command"], one.get("profiles")), (["worker", kind], None), f"{name}: {kind}")
            self.assertEqual(compose["services"]["kervan"]["command"], ["serve", "--role", "api"])

    def test_workers_take_the_environment_that_they_get(self):
        for name, compose in COMPOSE.items():
            for kind in KINDS:
                with tempfile.TemporaryDirectory() as folder:
                    secret = pathlib.Path(folder) / "secret"
                    secret.write_text("0123456789abcdef0123456789abcdef")
                    given = {"PATH": os.environ["PATH"]}
                    for variable, value in compose["services"][f"worker-{kind}"]["environment"].items():
                        given[variable] = re.sub(r"^/run/secrets/\w+$", str(secret), value)
                    # The database is asked before anything else, and nobody answers.
                    nobody = {"DATABASE_URL": "postgres://kervan:kervan@127.0.0.1:1/kervan", "DB_HOST": "127.0.0.1"}
                    given |= {variable: value for variable, value in nobody.items() if variable in given}
                    given |= {"PORT": "0", "DB_PORT": "1"} if "DB_HOST" in given else {"PORT": "0"}
                    started = run(KERVAN, "worker", kind, env=given, cwd=folder)
                    self.assertEqual(started.returncode, 1, f"{name}: {started.stderr}")
                    self.assertRegex(started.stderr, "store.database_url is what")

    def test_kervan_takes_the_environment_that_it_gets(self):
        for name, compose in COMPOSE.items():
            with tempfile.TemporaryDirectory() as folder:
                secret = pathlib.Path(folder) / "secret"
                secret.write_text("0123456789abcdef0123456789abcdef")
                address = pathlib.Path(folder) / "address"
                address.write_text("postgres://kervan:secret@postgres-replica/kervan")
                given = {"PATH": os.environ["PATH"], "KERVAN_DATA__DIR": folder}
                for variable, value in compose["services"]["kervan"]["environment"].items():
                    value = re.sub(r"^/run/secrets/\w+_url$", str(address), value)
                    value = re.sub(r"^/run/secrets/\w+$", str(secret), value)
                    given[variable] = re.sub(r"\$\{\w+:\?.*\}", "https://chat.example.com", value)
                checked = run(KERVAN, "config", "check", cwd=folder, env=given)
                self.assertEqual(checked.returncode, 0, f"{name}: {checked.stdout}{checked.stderr}")
                wrong = run(KERVAN, "config", "check", cwd=folder, env=given | {"KERVAN_SERVER__HOSTS": "x"})
                self.assertEqual(wrong.returncode, 2, "a variable that Kervan does not know")

    def test_the_image_is_made_in_stages_runs_as_nobody_special_and_asks_for_its_health(self):
        text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
        stages = re.findall(r"^FROM (\S+)", text, re.M)
        self.assertEqual(len(stages), 2)
        needed = re.search(r'^rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
        self.assertTrue(stages[0].startswith(f"rust:{needed}-"), stages[0])
        last = text[text.rindex("\nFROM ") :]
        self.assertEqual(re.findall(r"^USER (\S+)", last, re.M), ["kervan"])
        health = json.loads(re.search(r"^HEALTHCHECK .*CMD (\[.*\])$", last, re.M)[1])
        self.assertEqual(health, ["kervan", "health"])
        with tempfile.TemporaryDirectory() as folder:
            asked = run(KERVAN, "health", "--port", "1", cwd=folder, env={"PATH": os.environ["PATH"]})
        self.assertEqual(asked.returncode, 1, asked.stdout + asked.stderr)
        self.assertIn("no answer from", asked.stdout)

    def test_nginx_takes_its_configuration(self):
        with tempfile.TemporaryDirectory() as folder:
            text = f"pid {folder}/pid; error_log stderr;\n" + (DEPLOY / "nginx.conf").read_text()
            path = pathlib.Path(folder) / "nginx.conf"
            path.write_text(text.replace("worker_connections 65536", "worker_connections 512"))
            checked = run("nginx", "-t", "-p", folder, "-c", str(path))
            self.assertEqual(checked.returncode, 0, checked.stderr)

    def test_the_dashboard_shows_metrics_that_there_are(self):
        there = (ROOT / "src/metrics/page.golden").read_text()
        shown = set(re.findall(r"kervan_[a-z_]+", (DEPLOY / "grafana/kervan.json").read_text()))
        self.assertGreater(len(shown), 4)
        for metric in shown:
            name = metric.removesuffix("_bucket")
            self.assertIn(f"# TYPE {name} ", there)

    def test_scripts_can_be_read(self):
        for path in DEPLOY.rglob("*.sh"):
            checked = run("bash", "-n", str(path))
            self.assertEqual(checked.returncode, 0, checked.stderr)

    def test_the_job_makes_one_cluster_of_six_redis_nodes_and_only_once(self):
        with tempfile.TemporaryDirectory() as folder:
            buses = free_ports(6)
            ports = list(buses)
            nodes = [redis(folder, port, bus) for port, bus in buses.items()]
            try:
                addresses = [f"127.0.0.1:{port}" for port in ports]
                until(lambda: all("PONG" in ask(port, "ping") for port in ports))
                made = run("sh", str(DEPLOY / "redis/cluster.sh"), *addresses)
                self.assertEqual(made.returncode, 0, made.stdout + made.stderr)
                until(lambda: all("cluster_state:ok" in ask(port, "cluster", "info") for port in ports))
                until(lambda: ask(ports[0], "cluster", "nodes").count("slave") == 3)
                again = run("sh", str(DEPLOY / "redis/cluster.sh"), *addresses)
                self.assertEqual((again.returncode, again.stdout), (0, "the cluster is there\n"))
            finally:
                for node in nodes:
                    node.kill()
                    node.wait()


def free_ports(count):
    """Free ports of so many nodes, each with one for its bus."""
    held = [socket.socket() for _ in range(2 * count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    found = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return dict(zip(found[:count], found[count:]))


def redis(folder, port, bus):
    own = pathlib.Path(folder) / str(port)
    own.mkdir()
    command = ["redis-server", str(DEPLOY / "redis/redis.conf"), "--bind", "127.0.0.1", "--port", str(port)]
    command += ["--cluster-port", str(bus), "--dir", str(own)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ask(port, *question):
    return run("redis-cli", "-p", str(port), *question).stdout


def until(met, seconds=60):
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)  # Pauses: between two looks at what other programs do.


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=2).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
