//! Every setting: its name, type, default and meaning, once. The template, the environment names, the errors and
//! `kervan config show` all come from here. A default is text, read like any other value.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::choice::{Database, LogFilter, LogFormat, Publish, Role};
use super::network::Network;
use super::origin::AllowedOrigin;
use super::redis_url::RedisUrl;
use super::schema::section;
use super::service_account::ServiceAccount;
use super::signing_key::SigningKey;
use super::value::{ByteSize, Pem, Secret};
use super::vapid_key::VapidKey;

section! {
    /// Where Kervan listens and how it starts and stops.
    Server "server" {
        /// false: development mode, for trying it out on one's own machine: a published secret signs tokens, and the
        /// channel namespace "" is open. true: refused without a secret, public key or jwks_url of your own; no
        /// channel is open unless [[channels]] says so.
        production: bool = "false",
        /// "all": the server makes the rows, tells users and notifies by itself. "api": `kervan worker persistence`, `realtime` and
        /// `notification` do, as processes of their own, beside a journal in Kafka and rows in PostgreSQL.
        role: Role = "all",
        /// Name of a worker among those of its kind that live: it keeps its share of the work while it starts again. Of two with one
        /// name the older one stops working. "": the machine's name and the port.
        name: Option<String> = "",
        /// Address of the public listener. "" is 127.0.0.1 in development and 0.0.0.0 in production.
        host: Option<IpAddr> = "",
        /// Development mode is for this machine alone: it refuses to listen elsewhere, and answers those only who ask for
        /// localhost, 127.0.0.1 or [::1]. true: it serves whoever reaches it, and everybody can be anybody.
        development_anywhere: bool = "false",
        /// Port of the public listener: WebSocket, health. 0: any free one.
        port: u16 = "3000",
        /// Address of the admin listener: metrics, health, the operator's API. Metrics take no password: keep it off the
        /// internet.
        admin_host: IpAddr = "127.0.0.1",
        /// Port of the admin listener. "": the public port + 1 (0 if that is 0).
        admin_port: Option<u16> = "",
        /// Web pages that may connect, as "https://chat.example.com", "https://*.example.com" or "http://localhost:*"; "*" is
        /// every page. Empty: pages of this machine in development, pages of the same host in production. Clients that are
        /// no browsers send no Origin.
        allowed_origins: Vec<AllowedOrigin> = "",
        /// Proxies in front, as "10.0.0.0/8": the client's address is what they say in X-Forwarded-For. Nobody else is
        /// believed.
        trusted_proxies: Vec<Network> = "",
        /// How often a client is pinged. "0": never.
        ping_interval: Duration = "25s",
        /// How long a client may take to answer a ping before it is closed.
        pong_timeout: Duration = "10s",
        /// How long a drain may take before what is left is cut off.
        shutdown_grace: Duration = "10s",
    }
}

section! {
    /// The data folder and the journal in it.
    Data "data" {
        /// Folder of the journal and, unless [store] says otherwise, the database. Held by one process at a time.
        dir: PathBuf = "./data",
        /// Size of one journal segment file.
        segment_size: ByteSize = "64MiB",
        /// How long the journal keeps records that a backup has (`kervan backup`; with a journal in Kafka `kervan backup mark`);
        /// older ones are removed. "0": for ever, and a lost database can be built anew from the journal alone. Otherwise a
        /// lost database takes a backup that is younger than this.
        journal_retention: Duration = "0",
    }
}

section! {
    /// Which journal holds every fact: one in the data folder, or Kafka.
    Journal "journal" {
        /// Brokers, as "host:9092,host:9092": the journal is in Kafka. "": it is in the data folder. Environment: KAFKA_BROKERS.
        kafka_brokers: Option<String> = "",
        /// Topic of the journal. `kervan topics create` makes it, `kervan topics check` says whether it is as it must be.
        kafka_topic: String = "kervan.journal",
        /// Topic with what concerns the journal as a whole.
        kafka_control_topic: String = "kervan.control",
    }
}

section! {
    /// The operator's API on the admin port.
    Admin "admin" {
        /// Bearer token of the admin API, at least 32 bytes. "": only who can read the data folder may ask it, and in
        /// development everybody on this machine.
        token: Option<Secret> = "",
        /// The way of one command in so many is kept with its times, for operators. 0: only of those asked for.
        trace_every: u32 = "1000",
    }
}

section! {
    /// Who may connect. Tokens are JWTs: HS256, RS256, ES256, EdDSA; `sub` is the user id.
    Auth "auth" {
        /// Connect without a token, as a user that is new each time.
        anonymous: bool = "false",
        /// Secret of HS256 tokens, at least 32 bytes. Environment: JWT_SECRET. In development, if no key is set at
        /// all, a published one.
        hmac_secret: Option<Secret> = "",
        /// File with the secrets that sign and check Kervan's own tokens, by `kid`; read again when it changes, so that keys
        /// are rotated without a restart. "": hmac_secret does it. See docs/security.md.
        keys_file: Option<PathBuf> = "",
        /// Whether people may make accounts by themselves (POST /api/auth/register). "": in development, and not in
        /// production.
        registration: Option<bool> = "",
        /// How long an access token is good.
        access_ttl: Duration = "15m",
        /// How long a sign-in lasts that is not used.
        refresh_ttl: Duration = "30d",
        /// How long a sign-in lasts at most, however often it is used: then the password is asked for again. "0": no end.
        sign_in_ttl: Duration = "180d",
        /// Public key of RS256 tokens: PEM text or the path of a file.
        rsa_public_key: Option<Pem> = "",
        /// Public key of ES256 tokens: PEM text or the path of a file.
        ecdsa_public_key: Option<Pem> = "",
        /// Public key of EdDSA tokens: PEM text or the path of a file.
        ed25519_public_key: Option<Pem> = "",
        /// Address of a JSON Web Key Set; its keys are used by their `kid`.
        jwks_url: Option<String> = "",
        /// How old the key set may become before it is fetched again.
        jwks_refresh: Duration = "5m",
        /// What `aud` must be or contain. "": not checked.
        audience: Option<String> = "",
        /// What `iss` must be. "": not checked.
        issuer: Option<String> = "",
        /// How far other clocks may be off when `exp`, `expire_at` and `nbf` are checked.
        leeway: Duration = "5s",
    }
}

section! {
    /// The API of back ends: Centrifugo's server API, see docs/server-api.md.
    Api "api" {
        /// What a back end shows in the header X-API-Key, at least 32 bytes. "": there is no such API.
        key: Option<Secret> = "",
    }
}

section! {
    /// An open channel namespace: what stands before the first ":" of a channel's name. Without any [[channels]],
    /// development has this one, and production has none.
    Namespace "channels" {
        /// The namespace; "" is names without ":".
        namespace: String = "",
        /// Channels come into being by a publish.
        open: bool = "true",
        /// Subscribing takes a token with this `channel`.
        token_required: bool = "false",
        /// A channel whose name ends in "#" and users, as "dialog#42,43", is for those, and for who has a token.
        user_limited: bool = "true",
        /// Who may publish: "subscriber", "anyone" (connected), "nobody".
        publish: Publish = "subscriber",
        /// Who is subscribed can be asked for.
        presence: bool = "true",
        /// Subscribers hear of others coming and going.
        join_leave: bool = "true",
        /// Publications kept. 0: none, and no recovery.
        history_size: u32 = "100",
        /// How long they are kept, at most 24h: also while nothing is published. "0": for ever.
        history_ttl: Duration = "300s",
        /// Subscribers that come back get what they missed.
        recover: bool = "true",
    }
}

section! {
    /// Bounds. 0 is no bound where it says so.
    Limits "limits" {
        /// Messages a user may send in a minute. 0: no bound. Anonymous users of one address (IPv6: one /64) count as one,
        /// here and below.
        messages_per_minute: u32 = "60",
        /// Messages of those that may come at once.
        burst: u32 = "20",
        /// What else a user may change in a minute: edits, rooms, invitations, settings, devices, files, profile, …
        /// 0: no bound.
        changes_per_minute: u32 = "120",
        /// Changes of those that may come at once.
        changes_burst: u32 = "40",
        /// So many users that are named by a change make it count once more.
        change_users: u32 = "5",
        /// So many bytes of a change make it count once more.
        change_bytes: ByteSize = "16KiB",
        /// What a user may ask in a minute: pages, lists, presence, typing, receipts, read marks, … 0: no bound.
        questions_per_minute: u32 = "1200",
        /// Questions of those that may come at once.
        questions_burst: u32 = "600",
        /// So many rows that a question asks for make it count once more.
        question_rows: u32 = "100",
        /// A search, or a question about a room that one is not in, counts as so many questions.
        search_questions: u32 = "10",
        /// Invitations of a user that are not answered yet, in all rooms that live. 0: no bound.
        invitations: u32 = "1000",
        /// Connections from one address (IPv6: one /64). 0: no bound, as behind a proxy.
        connections_per_address: u32 = "200",
        /// Attempts to sign in or register from one address (IPv6: one /64) in a minute, as many at once. 0: no bound.
        sign_ins_per_minute: u32 = "20",
        /// Attempts to sign in to one account in a minute, as many at once, from all addresses from which its owner never
        /// came. Where he came from before he is not held up. 0: no bound.
        guesses_per_minute: u32 = "30",
        /// Connections in all. 0: no bound but that of the operating system.
        connections: u32 = "0",
        /// One WebSocket message from a client.
        frame: ByteSize = "64KiB",
        /// Body of a message; at most 32KiB.
        body: ByteSize = "32KiB",
        /// What may wait for a slow reader before it is closed with 3008.
        outbox: ByteSize = "256KiB",
        /// How long a reader may be slow: who takes less than `outbox` in it while more waits is closed with 3008; and who
        /// takes less than an eighth of it while more than half of it is taken, by what it asked for itself.
        slow_grace: Duration = "5s",
        /// Head of an HTTP request.
        header: ByteSize = "16KiB",
        /// How long a client may take over an HTTP request's head, and over its first command.
        handshake_timeout: Duration = "10s",
        /// How long an answer over HTTP may wait for its reader: who takes less than 16 KiB of it in this time while more
        /// waits is cut off. The sockets' own is slow_grace.
        answer_timeout: Duration = "30s",
        /// How long an HTTP connection is kept between two requests. Longer than a balancer in front keeps its own, 60 s
        /// mostly: else it may send a request into one that ends, and answers 502.
        keep_alive: Duration = "75s",
        /// Rooms held in memory. Above it the one idle for longest leaves. While none can, what comes for others waits for
        /// half a second, and then comes in all the same, as far as memory goes.
        resident_rooms: u32 = "10000",
        /// Users held in memory, likewise.
        resident_users: u32 = "10000",
        /// Memory of all rooms and users that are held, and of their events that the database lacks, about. Above three
        /// quarters of it idle ones leave early; when it is spent, sends are refused for the time being.
        room_memory: ByteSize = "1GiB",
        /// A room or user that had nothing to do for so long leaves memory.
        idle: Duration = "5m",
    }
}

section! {
    /// Rooms.
    Rooms "rooms" {
        /// A direct chat ends so long after it began. "0": never.
        direct_ttl: Duration = "24h",
    }
}

section! {
    /// Files that users upload into chats. They are kept in a folder, or in S3 if a bucket is named.
    Uploads "uploads" {
        /// The folder. "": uploads in the data folder. Environment: UPLOAD_PATH.
        path: Option<PathBuf> = "",
        /// One file. Environment: MAX_FILE_SIZE.
        max_file_size: ByteSize = "10MiB",
        /// All files of one user.
        quota: ByteSize = "1GiB",
        /// How many of them. 0: no bound.
        files: u32 = "10000",
        /// Pixels of an image, width times height, of which a thumbnail is made. Above it the image is a file like others.
        pixels: u32 = "40000000",
        /// The bucket. "": files are kept in the folder.
        s3_bucket: Option<String> = "",
        /// Its region.
        s3_region: String = "us-east-1",
        /// Where S3 is, if it is not Amazon's: "https://…", or "http://…" without TLS.
        s3_endpoint: Option<String> = "",
        /// The key's id. "": what the machine's role gives.
        s3_access_key: Option<Secret> = "",
        /// The key's secret.
        s3_secret_key: Option<Secret> = "",
    }
}

section! {
    /// Telling people of messages that none of their devices has acknowledged. Off unless a way out is named.
    Notifications "notifications" {
        /// A line in the log for each, to try it out.
        log: bool = "false",
        /// Where each is posted, as Standard Webhooks (https://www.standardwebhooks.com) describe it. "": nowhere. See
        /// docs/notifications.md.
        webhook_url: Option<String> = "",
        /// What signs it: "whsec_" and the base64 of 24 to 64 bytes.
        webhook_secret: Option<SigningKey> = "",
        /// The service account that pushes by Firebase Cloud Messaging: its JSON, or the path of a file with it. "": nobody pushes
        /// so. Environment: PUSH_NOTIFICATION_KEY.
        fcm_account: Option<ServiceAccount> = "",
        /// Where FCM is.
        fcm_url: String = "https://fcm.googleapis.com",
        /// The key that pushes to browsers are signed with (VAPID): `kervan vapid` makes one. "": nobody pushes so.
        vapid_key: Option<VapidKey> = "",
        /// Whom push services turn to if something is wrong with pushes: "mailto:…" or "https://…".
        vapid_subject: Option<String> = "",
        /// Browsers' subscriptions may name any address, http:// and this machine included: for trying it out, not in production.
        web_push_anywhere: bool = "false",
        /// How long a user's devices have to acknowledge a message, or to read it.
        after: Duration = "30s",
        /// Messages that are older by then notify nobody any more.
        expiry: Duration = "24h",
        /// How long one attempt may take.
        timeout: Duration = "10s",
        /// Attempts, each after a longer wait than the one before, up to an hour: 12 take about four hours. Then a notification
        /// is dead, until `kervan notifications dead replay`.
        attempts: u32 = "12",
    }
}

section! {
    /// The database that holds what the journal says, as rows.
    Store "store" {
        /// "sqlite:FILE", a path, or "postgres://USER:PASSWORD@HOST/NAME" (docs/postgresql.md). "": kervan.db in the data
        /// folder. Environment: DATABASE_URL; or DB_HOST, DB_PORT, DB_NAME, DB_USER and DB_PASSWORD.
        database_url: Option<Database> = "",
        /// A replica of that PostgreSQL: pages of history are read there. If it does not answer, or lags behind what they
        /// must show, the database itself is asked. "": none. Environment: DATABASE_REPLICA_URL.
        replica_url: Option<Database> = "",
        /// The addresses lead to a pooler in transaction mode, such as pgbouncer: nothing is kept on a connection.
        pooler: bool = "false",
        /// Connections to PostgreSQL that read pages and lists for clients; to a replica as many again.
        client_connections: u32 = "4",
        /// Connections to PostgreSQL that read for the engine: rooms and users that come into memory, and the workers.
        engine_connections: u32 = "4",
        /// Connections to PostgreSQL that write what no journal has: accounts, uploads, notifications, events.
        direct_connections: u32 = "4",
        /// Connections to PostgreSQL that write what the journal says.
        writer_connections: u32 = "2",
    }
}

section! {
    /// Hints between processes, nothing that can't be lost: docs/redis.md.
    Redis "redis" {
        /// "redis://[USER:PASSWORD@]HOST[:PORT]", a server or a node of a cluster, and more nodes behind commas. "": none.
        /// Environment: REDIS_URL; or REDIS_HOST, REDIS_PORT and REDIS_PASSWORD.
        url: Option<RedisUrl> = "",
    }
}

section! {
    /// What is written to stderr.
    Log "log" {
        /// "text" or "json".
        format: LogFormat = "text",
        /// Which lines, by module and level as in RUST_LOG: "info", "warn,kervan::storage=debug".
        filter: LogFilter = "info",
    }
}
