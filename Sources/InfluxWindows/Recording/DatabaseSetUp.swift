import RuleEngine

/// Makes database, retention policies and continuous queries what the configuration says; nothing is removed that it does not name.
///
/// InfluxDB 2.x and 3 have no such statements: they refuse them, and recording goes on.
struct DatabaseSetUp: Sendable {
    enum Outcome: Sendable, Equatable {
        /// What was changed, and what was refused and why.
        case done(changes: [String], refusals: [String])
        case unavailable(String)
    }

    private struct Unavailable: Error {
        var reason: String
    }

    let settings: RecorderSettings
    let client: InfluxClient

    private var database: String { InfluxQL.quoted(client.configuration.database) }

    func run() async -> Outcome {
        var changes: [String] = [], refusals: [String] = []
        do throws(Unavailable) {
            try await note(ask("CREATE DATABASE \(database)"), "the database is not made", &refusals)
            for retention in settings.retentions { try await setUp(retention, &changes, &refusals) }
            for downsampling in settings.downsamplings { try await setUp(downsampling, &changes, &refusals) }
        } catch { return .unavailable(error.reason) }
        return .done(changes: changes, refusals: refusals)
    }

    private func note(_ refusal: String?, _ what: String, _ refusals: inout [String]) {
        if let refusal { refusals.append("\(what): \(refusal)") }
    }

    private func setUp(_ retention: RecorderSettings.Retention, _ changes: inout [String], _ refusals: inout [String])
        async throws(Unavailable)
    {
        guard let refusal = try await ask(InfluxQL.create(retention, on: database)) else { return }
        // One with other values; the words of 1.6 and of later versions.
        guard refusal.contains("already exists") || refusal.contains("conflicts with an existing policy") else {
            return note(refusal, "the retention policy '\(retention.name)' is not made", &refusals)
        }
        if let refusal = try await ask(InfluxQL.alter(retention, on: database)) {
            return note(refusal, "the retention policy '\(retention.name)' stays as it is", &refusals)
        }
        changes.append("the retention policy '\(retention.name)' is changed to what is configured")
    }

    private func setUp(_ downsampling: RecorderSettings.Downsampling, _ changes: inout [String], _ refusals: inout [String])
        async throws(Unavailable)
    {
        let query = InfluxQL.create(downsampling, in: settings, on: database)
        guard let refusal = try await ask(query) else { return }
        guard refusal.contains("already exists") else {
            return note(refusal, "the continuous query '\(downsampling.name)' is not made", &refusals)
        }
        _ = try await ask("DROP CONTINUOUS QUERY \(InfluxQL.quoted(downsampling.name)) ON \(database)")
        if let refusal = try await ask(query) {
            return note(refusal, "the continuous query '\(downsampling.name)' is not made", &refusals)
        }
        changes.append("the continuous query '\(downsampling.name)' is replaced by the one that is configured")
    }

    /// Computes again what the continuous queries have missed: they look at no interval a second time.
    func fill(from: Instant, to: Instant) async -> Outcome {
        var refusals: [String] = []
        do throws(Unavailable) {
            for downsampling in settings.downsamplings {
                let query = InfluxQL.fill(downsampling, in: settings, on: database, from: from, to: to)
                try await note(ask(query), "'\(downsampling.name)' is not filled", &refusals)
            }
        } catch { return .unavailable(error.reason) }
        return .done(changes: [], refusals: refusals)
    }

    /// Nil when it is done, else what the server said.
    private func ask(_ statement: String) async throws(Unavailable) -> String? {
        let answer = QueryAnswer()
        switch await client.query(statement, within: client.configuration.timeout, into: answer) {
        case .none(let reason, _): throw Unavailable(reason: reason)
        case .answer(let status, _):
            switch status {
            case 200:
                if case .error(let said) = answer.finish() { return client.shown(said) }
                return nil
            case 401, 408, 429, 502...504: throw Unavailable(reason: client.failure(status, answer.said).description)
            default: return client.failure(status, answer.said).description
            }
        }
    }
}

/// Statements.
enum InfluxQL {
    /// An identifier.
    static func quoted(_ name: String) -> String {
        var text = "\""
        for character in name.unicodeScalars {
            if character == "\"" || character == "\\" { text += "\\" }
            text += character == "\n" ? "\\n" : String(character)
        }
        return text + "\""
    }

    private static func length(_ duration: Duration?) -> String { duration?.ruleText ?? "INF" }

    static func create(_ retention: RecorderSettings.Retention, on database: String) -> String {
        "CREATE RETENTION POLICY \(quoted(retention.name)) ON \(database) DURATION \(length(retention.duration)) REPLICATION 1"
            + ending(retention)
    }

    static func alter(_ retention: RecorderSettings.Retention, on database: String) -> String {
        "ALTER RETENTION POLICY \(quoted(retention.name)) ON \(database) DURATION \(length(retention.duration))" + ending(retention)
    }

    private static func ending(_ retention: RecorderSettings.Retention) -> String {
        (retention.shard.map { " SHARD DURATION \($0.ruleText)" } ?? "") + (retention.isDefault ? " DEFAULT" : "")
    }

    static func create(_ downsampling: RecorderSettings.Downsampling, in settings: RecorderSettings, on database: String) -> String {
        let resample = downsampling.resample.map { " RESAMPLE FOR \($0.ruleText)" } ?? ""
        return "CREATE CONTINUOUS QUERY \(quoted(downsampling.name)) ON \(database)\(resample) BEGIN "
            + select(downsampling, in: settings, on: database) + " GROUP BY time(\(downsampling.every.ruleText)), * END"
    }

    /// The same once, over all intervals that hold something of a time.
    static func fill(
        _ downsampling: RecorderSettings.Downsampling, in settings: RecorderSettings, on database: String, from: Instant, to: Instant
    ) -> String {
        let every = max(1, downsampling.every.inNanoseconds)
        let inInterval = from.nanoseconds % every
        let start = from + -(inInterval < 0 ? inInterval + every : inInterval)
        let inLast = to.nanoseconds % every
        let end = to + (every - (inLast < 0 ? inLast + every : inLast))
        return select(downsampling, in: settings, on: database)
            + " WHERE time >= \(start.nanoseconds) AND time < \(end.nanoseconds) GROUP BY time(\(downsampling.every.ruleText)), *"
    }

    private static func select(_ downsampling: RecorderSettings.Downsampling, in settings: RecorderSettings, on database: String) -> String
    {
        func measurement(_ name: String, _ policy: String?) -> String { "\(database).\(policy.map(quoted) ?? "").\(quoted(name))" }
        let functions = downsampling.functions.map { "\($0)(*)" }.joined(separator: ", ")
        let source = settings.measurements.first { $0.name == downsampling.source }
        return
            "SELECT \(functions) INTO \(measurement(downsampling.name, downsampling.retention)) FROM \(measurement(downsampling.source, source?.retention))"
    }
}
