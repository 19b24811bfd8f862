import Foundation

/// A key of the configuration: its name, default and meaning.
struct ConfigurationKey: Sendable {
    enum Kind: Sendable {
        case text, bool, duration, size, integer
        case number(ClosedRange<Double>)
        case choice([String])
        /// A file that is read when the server starts.
        case file
        /// `http` or `https`.
        case webAddress
        /// A list in the file; in one text they are separated by commas.
        case hosts
    }
    var name: String
    var kind: Kind
    var defaultValue: String?
    var isSecret: Bool
    /// Reserved for a part that is to come: taken, not used, and said so.
    var isLater: Bool

    init(
        _ name: String, _ kind: Kind = .text, default defaultValue: String? = nil, secret isSecret: Bool = false,
        later isLater: Bool = false
    ) {
        self.name = name
        self.kind = kind
        self.defaultValue = defaultValue
        self.isSecret = isSecret
        self.isLater = isLater
    }

    /// `NODESPHERE_MONGODB_URI` of `mongodb.uri`.
    var environmentVariable: String {
        "NODESPHERE_" + name.uppercased().replacingOccurrences(of: ".", with: "_").replacingOccurrences(of: "-", with: "_")
    }

    static let all: [ConfigurationKey] = [
        ConfigurationKey("http.listen", default: "127.0.0.1:8080"),
        ConfigurationKey("mqtt.url", default: "mqtt://localhost:1883"),
        ConfigurationKey("mqtt.username"),
        ConfigurationKey("mqtt.password", secret: true),
        ConfigurationKey("mqtt.client_id"),
        ConfigurationKey("mqtt.version", .choice(["3.1.1", "5"]), default: "5"),
        ConfigurationKey("mqtt.ca_file", .file),
        ConfigurationKey("mqtt.cert_file", .file),
        ConfigurationKey("mqtt.key_file", .file),
        ConfigurationKey("mqtt.share_group"),
        ConfigurationKey("rules.path", default: "rules"),
        ConfigurationKey("rules.watch", .bool, default: "true"),
        ConfigurationKey("notifications.file", default: "notifications.yaml"),
        ConfigurationKey("data.path", default: "data"),
        ConfigurationKey("mongodb.uri", secret: true),
        ConfigurationKey("amqp.url", secret: true),
        ConfigurationKey("amqp.prefix", default: "nodesphere"),
        ConfigurationKey("amqp.ca_file", .file),
        ConfigurationKey("instances.max", .integer, default: "1000000"),
        ConfigurationKey("instances.forget_after", .duration, default: "7d"),
        ConfigurationKey("alerts.keep_resolved", .duration, default: "24h"),
        ConfigurationKey("external_url", .webAddress, default: ""),
        ConfigurationKey(
            "log.level", .choice(["trace", "debug", "info", "notice", "warning", "error", "critical"]), default: "info"),
        ConfigurationKey("log.format", .choice(["text", "json"]), default: "text"),
        ConfigurationKey("plugins.path", default: "plugins"),
        ConfigurationKey("scripts.instructions", .integer, default: "10000000"),
        ConfigurationKey("scripts.wall_time", .duration, default: "1s"),
        ConfigurationKey("scripts.memory", .size, default: "32MiB"),
        ConfigurationKey("scripts.waiting", .integer, default: "10000"),
        ConfigurationKey("scripts.output_rate", .integer, default: "200"),
        ConfigurationKey("scripts.faults", .integer, default: "5"),
        ConfigurationKey("scripts.rest", .duration, default: "1m"),
        ConfigurationKey("scripts.longest_rest", .duration, default: "1h"),
        ConfigurationKey("scripts.reload", .choice(["finish", "cancel"]), default: "finish"),
        ConfigurationKey("scripts.http.hosts", .hosts),
        ConfigurationKey("journal.enabled", .bool, default: "true"),
        ConfigurationKey("journal.retain", .duration, default: "24h"),
        ConfigurationKey("journal.max_size", .size, default: "2GiB"),
        ConfigurationKey("influxdb.url"),
        ConfigurationKey("influxdb.database"),
        ConfigurationKey("influxdb.username"),
        ConfigurationKey("influxdb.password", secret: true),
        ConfigurationKey("influxdb.token", secret: true),
        ConfigurationKey("influxdb.ca_file", .file),
        ConfigurationKey("influxdb.timeout", .duration, default: "30s"),
        ConfigurationKey("recorder.enabled", .bool, default: "false"),
        ConfigurationKey("recorder.batch_size", .integer, default: "5000"),
        ConfigurationKey("recorder.batch_interval", .duration, default: "1s"),
        ConfigurationKey("recorder.queue_size", .size, default: "64MiB"),
        ConfigurationKey("recorder.spool_max_size", .size, default: "1GiB"),
        ConfigurationKey("mysql.url", secret: true, later: true),
        ConfigurationKey("time_zone"),
        ConfigurationKey("location.latitude", .number(-90...90)),
        ConfigurationKey("location.longitude", .number(-180...180)),
        ConfigurationKey("allowed_lateness", .duration, default: "1m"),
        ConfigurationKey("windows.own_history", .duration, default: "2d"),
        ConfigurationKey("windows.max_samples", .integer, default: "100000"),
    ]
}

/// Keys below names that the operator chooses: `zones.home.radius`.
struct ConfigurationFamily: Sendable {
    /// Before the name: `zones`.
    var section: String
    /// Behind it, each as a key of its own.
    var members: [ConfigurationKey]

    static let all: [ConfigurationFamily] = [
        ConfigurationFamily(
            section: "zones",
            members: [
                ConfigurationKey("latitude", .number(-90...90)), ConfigurationKey("longitude", .number(-180...180)),
                ConfigurationKey("radius"),
            ]),
        ConfigurationFamily(
            section: "recorder.measurements",
            members: [
                ConfigurationKey("topic"), ConfigurationKey("fields"), ConfigurationKey("strings"), ConfigurationKey("time_field"),
                ConfigurationKey("decoder"), ConfigurationKey("retention"),
            ]),
        ConfigurationFamily(
            section: "recorder.retention",
            members: [ConfigurationKey("duration"), ConfigurationKey("shard", .duration), ConfigurationKey("default", .bool)]),
        ConfigurationFamily(
            section: "recorder.downsampling",
            members: [
                ConfigurationKey("from"), ConfigurationKey("every", .duration), ConfigurationKey("functions"),
                ConfigurationKey("retention"), ConfigurationKey("resample", .duration),
            ]),
    ]

    /// The key of a path, with its whole path as name; nil when it is of no family.
    static func key(_ path: String) -> ConfigurationKey? {
        for family in all where path.hasPrefix(family.section + ".") {
            guard let dot = path.lastIndex(of: "."), path.distance(from: path.startIndex, to: dot) > family.section.count,
                var member = family.members.first(where: { $0.name == path[path.index(after: dot)...] })
            else { return nil }
            member.name = path
            return member
        }
        return nil
    }

    /// The path that an environment variable means. A name that is there already is meant by its capitals, with `_` for what is no letter or digit; else it is in small letters.
    static func path(ofEnvironmentVariable variable: String, known paths: some Sequence<String>) -> String? {
        for family in all {
            let prefix = ConfigurationKey(family.section).environmentVariable + "_"
            guard variable.hasPrefix(prefix) else { continue }
            let known = paths.first { Self.key($0) != nil && ConfigurationKey($0).environmentVariable == variable }
            if let known { return known }
            for member in family.members {
                let ending = "_" + member.name.uppercased()
                guard variable.hasSuffix(ending), variable.count > prefix.count + ending.count else { continue }
                let name = variable.dropFirst(prefix.count).dropLast(ending.count)
                // Of a name of the file another member may stand there.
                let sibling = paths.compactMap { Self.name($0, in: family) }.first { Self.capitals($0) == name }
                return "\(family.section).\(sibling ?? name.lowercased()).\(member.name)"
            }
        }
        return nil
    }

    private static func capitals(_ name: String) -> String {
        String(name.uppercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
    }

    /// The name in a path of this family.
    static func name(_ path: String, in family: ConfigurationFamily) -> String? {
        guard path.hasPrefix(family.section + "."), key(path) != nil, let dot = path.lastIndex(of: ".") else { return nil }
        return String(path[..<dot].dropFirst(family.section.count + 1))
    }
}
