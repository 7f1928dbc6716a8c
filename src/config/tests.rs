//! Layers, errors with their places, the template.

use std::path::PathBuf;
use std::time::Duration;

use super::*;

fn sources(file: &str, environment: &[(&str, &str)]) -> Sources {
    Sources {
        file: (!file.is_empty()).then(|| (PathBuf::from("cluster.toml"), file.to_owned())),
        environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        ..Sources::default()
    }
}

fn loaded(file: &str, environment: &[(&str, &str)]) -> Loaded {
    load(&sources(file, environment)).unwrap()
}

fn refused(file: &str, environment: &[(&str, &str)]) -> String {
    load(&sources(file, environment)).unwrap_err().to_string()
}

/// The template with its settings in force.
fn uncommented() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    template().lines().map(|l| line(l) + "\n").collect()
}

#[test]
fn nothing_at_all_is_development_mode_with_an_open_channel_namespace() {
    let loaded = loaded("", &[]);
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.config.auth.hmac_secret, Some(Secret::new(DEVELOPMENT_SECRET)));
    assert_eq!(loaded.config.channels, [Namespace::default()]);
    assert_eq!(loaded.config.server.public_address().to_string(), "127.0.0.1:3000");
    assert_eq!(loaded.config.server.admin_address().to_string(), "127.0.0.1:3001");
    assert_eq!(loaded.warnings.len(), 1);
}

#[test]
fn the_template_says_exactly_the_defaults_commented_out_or_not() {
    assert_eq!(loaded(&template(), &[]).config, Config::default());
    let all = loaded(&uncommented(), &[]);
    assert_eq!(all.config, Config::default());
}

#[test]
fn every_key_is_in_the_template_with_a_meaning() {
    let all = loaded(&uncommented(), &[]);
    let config = Config::bare();
    let namespace = Namespace::default();
    let once = config.sections().map(|section| (section.schema(), section.schema().name.to_owned()));
    for (schema, path) in once.into_iter().chain([(namespace.schema(), "channels[0]".to_owned())]) {
        assert!(!schema.doc.is_empty());
        for key in schema.keys {
            assert!(!key.doc.is_empty(), "{path}.{} has no meaning", key.name);
            assert!(all.origins.contains_key(&format!("{path}.{}", key.name)), "{path}.{} is missing", key.name);
        }
    }
}

#[test]
fn the_checked_in_cluster_toml_is_the_template() {
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/cluster.toml")).unwrap();
    assert_eq!(file, template(), "write it again: kervan config template > cluster.toml");
}

#[test]
fn the_checked_in_reference_is_what_the_settings_say() {
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap();
    assert_eq!(file, reference(), "write it again: kervan config reference > docs/configuration.md");
    let secret =
        "Environment: `JWT_SECRET`, `JWT_SECRET_FILE`, `KERVAN_AUTH__HMAC_SECRET`, `KERVAN_AUTH__HMAC_SECRET_FILE`.";
    assert!(file.contains(secret), "{file}");
}

#[test]
fn the_issues_example_is_understood() {
    let file = r#"
[auth]
anonymous = false
hmac_secret = "a secret of thirty-two bytes or more"
audience = "chat"
[[channels]]
namespace = ""
open = true
token_required = false
publish = "subscriber"
presence = true
join_leave = true
history_size = 100
history_ttl = "300s"
recover = true
[[channels]]
namespace = "news"
publish = "nobody"
[limits]
messages_per_minute = 60
burst = 20
connections_per_address = 200
"#;
    let config = loaded(file, &[]).config;
    assert_eq!(config.channels[0], Namespace::default());
    let names: Vec<_> = config.channels.iter().map(|channel| (&channel.namespace[..], channel.publish)).collect();
    assert_eq!(names[1], ("news", Publish::Nobody));
    assert_eq!(config.auth.audience.as_deref(), Some("chat"));
}

#[test]
fn environment_goes_before_the_file_and_flags_before_both() {
    let file = "[server]\nport = 4000\nadmin_port = 4100\n[limits]\nburst = 5\n";
    let mut sources = sources(file, &[("PORT", "5000"), ("KERVAN_LIMITS__BURST", "7"), ("HOME", "/root")]);
    let config = load(&sources).unwrap().config;
    assert_eq!((config.server.port, config.server.admin_port, config.limits.burst), (5000, Some(4100), 7));
    sources.flags.push(Flag { name: "--port", key: ("server", "port"), value: "6000".to_owned() });
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.config.server.port, 6000);
    assert_eq!(loaded.origins["server.port"], Origin::Flag("--port"));
    assert_eq!(loaded.origins["server.admin_port"], Origin::File(PathBuf::from("cluster.toml"), 3));
    assert_eq!(loaded.origins["limits.burst"], Origin::Environment("KERVAN_LIMITS__BURST".to_owned()));
}

#[test]
fn the_long_name_goes_before_the_short_one() {
    let environment = [("KERVAN_SERVER__PORT", "5001"), ("PORT", "5000")];
    assert_eq!(loaded("", &environment).config.server.port, 5001);
}

#[test]
fn an_unknown_key_is_named_with_file_and_line() {
    assert_eq!(
        refused("[server]\nport = 1\nprt = 2\n", &[]),
        "cluster.toml:3: server.prt: unknown key, did you mean port?"
    );
    assert_eq!(
        refused("\n[[channels]]\nnamespace = \"a\"\nopne = true\n", &[]),
        "cluster.toml:4: channels[0].opne: unknown key, did you mean open?"
    );
    assert_eq!(
        refused("[sevrer]\nport = 1\n", &[]),
        "cluster.toml:2: sevrer.port: unknown section, did you mean [server]?"
    );
    assert!(refused("[nothing]\n", &[]).starts_with("cluster.toml:1: nothing: unknown section, there are server,"));
    assert_eq!(refused("port = 1\n", &[]), "cluster.toml:1: port: expected a [section] before it");
    assert_eq!(refused("[channels]\n", &[]), "cluster.toml:1: channels: expected [[channels]], in double brackets");
}

#[test]
fn a_bad_value_is_named_with_file_and_line() {
    let cases = [
        (
            "[server]\nport = \"3000\"\n",
            "cluster.toml:2: server.port: expected a whole number from 0 to 65535, found a string",
        ),
        (
            "[server]\nport = 70000\n",
            "cluster.toml:2: server.port: expected a whole number from 0 to 65535, found 70000",
        ),
        ("[server]\nport = -1\n", "cluster.toml:2: server.port: expected a whole number from 0 to 65535, found -1"),
        (
            "[server]\nproduction = \"yes\"\n",
            "cluster.toml:2: server.production: expected true or false, found a string",
        ),
        (
            "[rooms]\ndirect_ttl = \"1 fortnight\"\n",
            "cluster.toml:2: rooms.direct_ttl: expected a duration such as \"500ms\", \"300s\", \"5m\", \"24h\" or \"7d\", found \"1 fortnight\"",
        ),
        (
            "[rooms]\ndirect_ttl = 300\n",
            "cluster.toml:2: rooms.direct_ttl: expected a duration such as \"500ms\", \"300s\", \"5m\", \"24h\" or \"7d\", found an integer",
        ),
        (
            "[limits]\nframe = \"64Q\"\n",
            "cluster.toml:2: limits.frame: expected a size such as \"64KiB\", \"1MiB\" or a number of bytes, found \"64Q\"",
        ),
        ("[limits]\nbody = \"33KiB\"\n", "cluster.toml:2: limits.body: expected 1 to 32768 bytes, found 33792"),
        (
            "[[channels]]\npublish = \"all\"\n",
            "cluster.toml:2: channels[0].publish: expected one of subscriber, anyone, nobody, found \"all\"",
        ),
        ("[server]\nport = 1\nport = 2\n", "cluster.toml:3: duplicate key"),
        ("[server\n", "cluster.toml:1: unclosed table, expected `]`"),
        (
            "[log]\nfilter = \"kervan=loud\"\n",
            "cluster.toml:2: log.filter: expected a log filter such as \"info\", found \"kervan=loud\": error parsing level filter: expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5",
        ),
        (
            "[store]\ndatabase_url = \"mysql://u:p@h/d\"\n",
            "cluster.toml:2: store.database_url: expected sqlite:FILE, a file's path or postgres://…, found mysql://",
        ),
    ];
    for (file, error) in cases {
        assert_eq!(refused(file, &[]), error);
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let error = refused("[server]\nprt = 1\nhost = \"nowhere\"\n", &[("KERVAN_LIMITS__BURST", "many")]);
    assert_eq!(error.lines().count(), 3, "{error}");
}

#[test]
fn a_bad_environment_variable_is_named() {
    assert_eq!(
        refused("", &[("PORT", "http")]),
        "environment variable PORT: server.port: expected a whole number from 0 to 65535, found \"http\""
    );
    assert_eq!(
        refused("", &[("KERVAN_SERVER__PRT", "1")]),
        "environment variable KERVAN_SERVER__PRT: unknown variable, did you mean KERVAN_SERVER__PORT?"
    );
    assert_eq!(
        refused("", &[("KERVAN_ENV", "production")]),
        "environment variable KERVAN_ENV: unknown variable, did you mean KERVAN_SERVER__PRODUCTION=true?"
    );
}

#[test]
fn what_comes_with_the_cluster_is_refused_clearly() {
    assert_eq!(
        refused("", &[("KERVAN_CLUSTER__NODE", "x")]),
        "environment variable KERVAN_CLUSTER__NODE: comes with the cluster; this version runs on one node\n\
         to run on one node without them: KERVAN_CLUSTER__NODE= kervan"
    );
    assert_eq!(
        refused("\n[cluster]\nnode = 1\n", &[]),
        "cluster.toml:2: cluster: comes with the cluster; this version runs on one node"
    );
    assert_eq!(loaded("", &[("KAFKA_BROKERS", "")]).config, Config::default(), "an empty variable is not set");
}

#[test]
fn what_kubernetes_says_about_services_is_not_for_us() {
    let environment = [
        ("KERVAN_SERVICE_HOST", "10.0.0.1"),
        ("KERVAN_SERVICE_PORT_HTTP", "3000"),
        ("KERVAN_PORT", "tcp://10.0.0.1:3000"),
        ("KERVAN_PORT_3000_TCP_ADDR", "10.0.0.1"),
        ("REDIS_PORT", "tcp://10.0.0.2:6379"),
    ];
    assert_eq!(loaded("", &environment).config, Config::default());
}

#[test]
fn the_key_of_pushes_is_taken_by_the_name_that_people_know_and_not_repeated() {
    let account = r#"{"project_id": "tea", "client_email": "a@b", "private_key": "-----BEGIN PRIVATE KEY-----"}"#;
    let loaded = loaded("", &[("PUSH_NOTIFICATION_KEY", account), ("OTEL_SERVICE_NAME", "k")]);
    assert_eq!(loaded.config.notifications.fcm_account.as_ref().unwrap().project, "tea");
    assert!(loaded.show(true).contains("fcm_account = \"***\""), "{}", loaded.show(true));
    let said = refused("", &[("PUSH_NOTIFICATION_KEY", "{\"private_key\": \"TOPSECRET\"}")]);
    assert!(said.contains("PUSH_NOTIFICATION_KEY") && !said.contains("TOPSECRET"), "{said}");
}

#[test]
fn uploads_are_set_by_the_names_that_people_know() {
    let uploads = loaded("", &[("UPLOAD_PATH", "/x"), ("MAX_FILE_SIZE", "10485760")]).config.uploads;
    assert_eq!((uploads.path, uploads.max_file_size), (Some("/x".into()), ByteSize(10 << 20)));
    assert!(refused("", &[("MAX_FILE_SIZE", "0")]).contains("uploads.max_file_size"));
    assert!(refused("[uploads]\ns3_access_key = \"a\"\n", &[]).contains("uploads.s3_secret_key: goes with"));
    assert!(refused("[uploads]\ns3_endpoint = \"s3.example.com\"\n", &[]).contains("cluster.toml:2"));
}

#[test]
fn production_without_a_key_is_refused_and_opens_nothing_by_itself() {
    assert_eq!(
        refused("[server]\nproduction = true\n", &[]),
        "cluster.toml:2: server.production: production needs a way to check tokens: set auth.hmac_secret (JWT_SECRET), \
         a public key or auth.jwks_url"
    );
    let development = [("KERVAN_SERVER__PRODUCTION", "true"), ("JWT_SECRET", DEVELOPMENT_SECRET)];
    assert!(refused("", &development).starts_with("environment variable JWT_SECRET: auth.hmac_secret: this is the"));
    let environment = [("KERVAN_SERVER__PRODUCTION", "true"), ("JWT_SECRET", "0123456789abcdef0123456789abcdef")];
    let loaded = loaded("", &environment);
    assert_eq!(loaded.config.channels, []);
    assert!(!loaded.config.auth.anonymous);
    assert_eq!(loaded.config.server.public_address().to_string(), "0.0.0.0:3000");
    assert_eq!(loaded.warnings, [""; 0]);
}

#[test]
fn a_short_secret_or_one_of_blanks_is_refused_in_production_whatever_it_is_for() {
    for short in ["a", "0123456789abcdef0123456", &" ".repeat(40), &format!("  {}  ", "k".repeat(31))] {
        let refused = refused("[server]\nproduction = true\n", &[("JWT_SECRET", short)]);
        let expected = "environment variable JWT_SECRET: auth.hmac_secret: expected at least 32 bytes";
        assert!(refused.starts_with(expected), "{short:?}: {refused}");
        for (variable, key) in [("KERVAN_ADMIN__TOKEN", "admin.token"), ("KERVAN_API__KEY", "api.key")] {
            let refused = super::load(&sources("", &[(variable, short)])).unwrap_err().to_string();
            assert!(refused.contains(&format!("{key}: expected at least 32 bytes")), "{short:?}: {refused}");
        }
    }
    let development = loaded("", &[("JWT_SECRET", "short")]);
    assert_eq!(development.warnings, ["auth.hmac_secret has fewer than 32 bytes: it can be guessed"]);
}

#[test]
fn people_make_accounts_by_themselves_in_development_and_in_production_only_if_it_says_so() {
    let secret = ("JWT_SECRET", "0123456789abcdef0123456789abcdef");
    let production = "[server]\nproduction = true\n";
    assert!(loaded("", &[]).config.registration());
    assert!(!loaded(production, &[secret]).config.registration());
    let open = loaded(production, &[secret, ("KERVAN_AUTH__REGISTRATION", "true")]);
    assert!(open.config.registration());
    assert!(open.warnings[0].starts_with("auth.registration is open"), "{:?}", open.warnings);
    assert!(!loaded("[auth]\nregistration = false\n", &[]).config.registration());
}

#[test]
fn development_listens_on_this_machine_only_unless_it_is_told_in_as_many_words() {
    for host in ["0.0.0.0", "192.0.2.7", "::"] {
        let refused = refused(&format!("[server]\nhost = \"{host}\"\n"), &[]);
        assert!(refused.starts_with("cluster.toml:2: server.host: development mode is for this machine"), "{refused}");
        let file = format!("[server]\nhost = \"{host}\"\ndevelopment_anywhere = true\n");
        assert_eq!(loaded(&file, &[]).config.server.public_address().ip().to_string(), host);
        loaded(&format!("[server]\nhost = \"{host}\"\n"), &[("JWT_SECRET", &"k".repeat(32))]);
    }
    for host in ["127.0.0.1", "127.0.0.2", "::1"] {
        loaded(&format!("[server]\nhost = \"{host}\"\n"), &[]);
    }
}

#[test]
fn a_file_of_keys_takes_the_published_secret_out_of_force() {
    let config = loaded("[auth]\nkeys_file = \"/etc/kervan/keys.toml\"\n", &[]).config;
    assert_eq!((config.auth.hmac_secret.clone(), config.auth.is_development()), (None, false));
    loaded("[server]\nproduction = true\n[auth]\nkeys_file = \"/etc/kervan/keys.toml\"\n", &[]);
}

#[test]
fn a_key_set_for_everybody_and_a_proxy_that_is_not_named_are_warned_of() {
    let warned = |file: &str, about: &str| loaded(file, &[]).warnings.iter().any(|warning| warning.starts_with(about));
    let set = "[auth]\njwks_url = \"https://id.example.com/keys\"\n";
    assert!(warned(set, "auth.jwks_url without auth.audience or auth.issuer"));
    assert!(!warned(&format!("{set}audience = \"chat\"\n"), "auth.jwks_url"));
    assert!(!warned(&format!("{set}issuer = \"https://id.example.com\"\n"), "auth.jwks_url"));
    let behind = format!("{set}[server]\nproduction = true\nhost = \"127.0.0.1\"\n");
    assert!(warned(&behind, "production on a loopback address without server.trusted_proxies"));
    assert!(!warned(&format!("{behind}trusted_proxies = [\"127.0.0.0/8\"]\n"), "production on a loopback"));
}

#[test]
fn a_password_in_an_address_is_not_shown() {
    let file = "[auth]\njwks_url = \
                \"https://u:hid@den-1:hidden-2@id.example.com/keys?key=hidden-3\"\n[uploads]\ns3_endpoint = \
                \"https://hidden-4@s3.example.com:9000\"\n";
    let loaded = loaded(file, &[]);
    let settings: String = loaded.settings().into_iter().map(|setting| setting.value + "\n").collect();
    for shown in [loaded.show(true), settings] {
        assert!(!shown.contains("hidden") && !shown.contains("den-1"), "{shown}");
        assert!(shown.contains("https://***@id.example.com/keys?***"), "{shown}");
        assert!(shown.contains("https://***@s3.example.com:9000"), "{shown}");
    }
}

#[test]
fn a_key_of_ones_own_takes_the_published_secret_out_of_force() {
    let config = loaded("[auth]\njwks_url = \"https://id.example.com/keys\"\n", &[]).config;
    assert_eq!(config.auth.hmac_secret, None);
}

#[test]
fn a_key_of_back_ends_can_t_be_guessed() {
    assert!(
        refused("[api]\nkey = \"short\"\n", &[]).starts_with("cluster.toml:2: api.key: expected at least 32 bytes")
    );
    let long = "k".repeat(32);
    assert!(loaded("", &[("KERVAN_API__KEY", &long)]).config.api.key.is_some_and(|key| key.is(&long) && !key.is("k")));
}

#[test]
fn a_secret_is_never_shown() {
    let file = "[auth]\nhmac_secret = \"hidden-one\"\n[store]\ndatabase_url = \"postgres://u:hidden-two@db/kervan\"\n";
    let loaded = loaded(file, &[]);
    let shown = format!("{}{:?}", loaded.show(true), loaded.config);
    assert!(!shown.contains("hidden"), "{shown}");
    assert!(loaded.show(true).contains("hmac_secret = \"***\"  # cluster.toml:2"));
    assert!(loaded.show(true).contains("postgres://***@db/kervan"));
}

#[test]
fn a_secret_may_stand_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, "from a file\n").unwrap();
    let path = path.to_str().unwrap();
    for name in ["JWT_SECRET_FILE", "KERVAN_AUTH__HMAC_SECRET_FILE"] {
        assert_eq!(loaded("", &[(name, path)]).config.auth.hmac_secret, Some(Secret::new("from a file")));
    }
    let both = refused("", &[("JWT_SECRET_FILE", path), ("JWT_SECRET", "x")]);
    assert_eq!(both, "environment variable JWT_SECRET_FILE: JWT_SECRET is set as well: which one counts?");
    assert!(refused("", &[("JWT_SECRET_FILE", "/nowhere")]).contains("auth.hmac_secret: can't read \"/nowhere\""));
}

#[test]
fn a_public_key_is_text_or_a_file_and_never_a_private_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    let pem = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    std::fs::write(&path, pem).unwrap();
    let from_file = loaded("", &[("KERVAN_AUTH__RSA_PUBLIC_KEY", path.to_str().unwrap())]);
    assert_eq!(from_file.config.auth.rsa_public_key.unwrap().text, pem);
    let from_text = loaded("", &[("KERVAN_AUTH__RSA_PUBLIC_KEY", pem)]);
    assert_eq!(from_text.config.auth.rsa_public_key.unwrap().text, pem);
    let private = pem.replace("PUBLIC", "PRIVATE");
    assert!(refused("", &[("KERVAN_AUTH__RSA_PUBLIC_KEY", &private)]).contains("found a private one"));
}

#[test]
fn channels_may_come_from_the_environment_and_replace_those_of_the_file() {
    let file = "[[channels]]\nnamespace = \"a\"\n[[channels]]\nnamespace = \"b\"\n";
    let environment = [("KERVAN_CHANNELS", "[{ namespace = \"c\", history_size = 5 }]")];
    let loaded = loaded(file, &environment);
    assert_eq!(loaded.config.channels.len(), 1);
    assert_eq!(loaded.config.channels[0].history_size, 5);
    assert_eq!(super::load(&sources("", &[("KERVAN_CHANNELS", "[]")])).unwrap().config.channels, []);
    assert!(refused("", &[("KERVAN_CHANNELS", "[{ nam = 1 }]")]).contains("channels[0].nam: unknown key"));
}

#[test]
fn contradictions_are_found() {
    let cases = [
        ("[server]\nport = 65535\n", "server.port"),
        ("[server]\nport = 4000\nadmin_port = 4000\n", "server.admin_port"),
        ("[server]\nping_interval = \"5s\"\n", "server.pong_timeout"),
        ("[server]\nallowed_origins = [\"chat.example.com\"]\n", "server.allowed_origins"),
        ("[server]\nallowed_origins = [\"https://a*b.example.com\"]\n", "server.allowed_origins"),
        ("[limits]\nkeep_alive = \"0\"\n", "limits.keep_alive"),
        ("[auth]\naccess_ttl = \"0\"\n", "auth.access_ttl"),
        ("[auth]\naccess_ttl = \"500ms\"\n", "auth.access_ttl"),
        ("[auth]\nrefresh_ttl = \"0\"\n", "auth.refresh_ttl"),
        ("[uploads]\nquota = 0\n", "uploads.quota"),
        ("[limits]\nburst = 0\n", "limits.burst"),
        ("[limits]\nslow_grace = \"0\"\n", "limits.slow_grace"),
        ("[[channels]]\n[[channels]]\n", "channels[1].namespace"),
        ("[[channels]]\nnamespace = \"room\"\n", "channels[0].namespace"),
        ("[[channels]]\nhistory_ttl = \"25h\"\n", "channels[0].history_ttl"),
        ("[[channels]]\nnamespace = \"a:b\"\n", "channels[0].namespace"),
    ];
    for (file, path) in cases {
        assert!(refused(file, &[]).contains(&format!("{path}: ")), "{file}: {}", refused(file, &[]));
    }
}

#[test]
fn a_database_says_where_its_address_came_from_and_how_to_do_without() {
    let postgres = load(&sources("", &[("DATABASE_URL", "postgres://u:p@db/kervan")])).unwrap();
    assert_eq!(postgres.config.database(), Database::Postgres("postgres://u:p@db/kervan".to_owned()));
    assert_eq!(
        postgres.about_database(),
        "store.database_url is what environment variable DATABASE_URL says; to keep rows in the data folder: \
         DATABASE_URL= kervan"
    );
    let file = load(&sources("\n[store]\ndatabase_url = \"postgres://db/kervan\"\n", &[])).unwrap();
    assert!(file.about_database().ends_with("folder: take line 3 out of cluster.toml"), "{}", file.about_database());
    let sqlite = load(&sources("", &[("DATABASE_URL", "sqlite://chat.db?mode=rwc")])).unwrap();
    assert_eq!(sqlite.config.database(), Database::Sqlite(PathBuf::from("chat.db")));
    assert_eq!(load(&sources("", &[])).unwrap().about_database(), "");
}

#[test]
fn a_replica_goes_with_its_database_and_no_use_goes_without_a_connection() {
    let replica = ("DATABASE_REPLICA_URL", "postgres://u:hidden@db2/kervan");
    let both = load(&sources("", &[("DATABASE_URL", "postgres://db/kervan"), replica])).unwrap();
    assert_eq!(both.origins["store.replica_url"].to_string(), "environment variable DATABASE_REPLICA_URL");
    assert!(both.config.store.replica_url.is_some() && !both.show(true).contains("hidden"));
    let alone = refused("", &[replica]);
    assert!(alone.starts_with("environment variable DATABASE_REPLICA_URL: store.replica_url: goes with"), "{alone}");
    let file = [("DATABASE_URL", "postgres://db/kervan"), ("DATABASE_REPLICA_URL", "chat.db")];
    assert!(refused("", &file).ends_with("store.replica_url: expected postgres://…"), "{}", refused("", &file));
    for key in ["client_connections", "engine_connections", "direct_connections", "writer_connections"] {
        let said = ["0", "1001"].map(|number| refused(&format!("[store]\n{key} = {number}\n"), &[]));
        assert_eq!(said, [(); 2].map(|()| format!("cluster.toml:2: store.{key}: expected 1 to 1000")));
    }
}

#[test]
fn durations_and_sizes_read_as_they_are_shown() {
    use super::value::{Raw, Value};
    for text in ["500ms", "300s", "24h", "7d", "90s", "30m", "36h", "0"] {
        let read = Duration::read(&Raw::Text(text.to_owned())).unwrap();
        assert_eq!(read.show(), format!("\"{text}\""));
    }
    for text in ["64KiB", "1MiB", "3GiB"] {
        assert_eq!(ByteSize::read(&Raw::Text(text.to_owned())).unwrap().show(), format!("\"{text}\""));
    }
    for text in ["10 MB", "10mb", "10Mb"] {
        assert_eq!(ByteSize::read(&Raw::Text(text.to_owned())).unwrap(), ByteSize(10_000_000), "{text}");
    }
    for text in ["10M", "10m", "10mib", "10 MiB", "10240k", "10485760b"] {
        assert_eq!(ByteSize::read(&Raw::Text(text.to_owned())).unwrap(), ByteSize(10 << 20), "{text}");
    }
    assert!(ByteSize::read(&Raw::Text("99999999999999999999GiB".to_owned())).is_err());
    assert!(Duration::read(&Raw::Text("99999999999999999d".to_owned())).is_err());
}
