import OutgoingHTTP
import RuleEngine

/// Where InfluxDB is and who asks.
public struct InfluxConfiguration: Sendable {
    public struct Mistake: Error, CustomStringConvertible {
        public var description: String
    }

    /// Without a slash at its end.
    let url: RequestURL
    public let database: String
    let http: HTTPConfiguration
    /// What must never be shown, whoever says it.
    let secrets: [String]
    public let timeout: Duration

    /// `user` and `password` (InfluxDB 1.x) or `token` (2.x, 3).
    public init(
        url: String, database: String?, username: String? = nil, password: String? = nil, token: String? = nil, caFile: String? = nil,
        timeout: Duration = .seconds(30)
    ) throws(Mistake) {
        var trimmed = url[...]
        while trimmed.hasSuffix("/") { trimmed = trimmed.dropLast() }
        guard let address = RequestURL(String(trimmed)), !trimmed.contains("?"), !trimmed.contains("#") else {
            throw Mistake(description: "'influxdb.url' must be http://HOST:PORT or https://HOST:PORT")
        }
        guard !trimmed.contains("@") else {
            throw Mistake(description: "'influxdb.url' holds no user and password: they are 'influxdb.username' and 'influxdb.password'")
        }
        guard let database, !database.isEmpty else { throw Mistake(description: "'influxdb.url' needs 'influxdb.database'") }
        if token != nil, username != nil {
            throw Mistake(description: "'influxdb.token' and 'influxdb.username' cannot both be given: which of them is meant?")
        }
        if (username == nil) != (password == nil) {
            throw Mistake(description: "'influxdb.username' and 'influxdb.password' go together")
        }
        self.url = address
        self.database = database
        self.timeout = timeout
        secrets = [password, token].compactMap { $0 }.filter { !$0.isEmpty }
        var http = HTTPConfiguration(caFile: caFile)
        if let token {
            http.authorization = .credentials(scheme: "Token", .text(token))
        } else if let username, let password {
            http.authorization = .basic(username: username, password: .text(password))
        }
        self.http = http
    }

    /// Scheme, host and port: what may be logged.
    public var address: String { url.origin }
}
