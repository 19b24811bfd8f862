import RuleEngine
import TestSupport
import Testing

@testable import InfluxWindows

@Suite struct InfluxWindowHistoryTests {
    private static let good = #"{"results":[{"series":[{"name":"m","columns":["time","kw"],"values":[[1,2]]}]}]}"#

    private static func history(
        _ server: LoopbackServer, timeout: Duration = .seconds(60), limits: QueryAnswer.Limits = .init(), token: String? = nil
    ) throws
        -> InfluxWindowHistory
    {
        let configuration = try InfluxConfiguration(
            url: server.url + "/", database: "d b&", username: token == nil ? "u" : nil, password: token == nil ? "p@ss" : nil,
            token: token,
            timeout: timeout)
        return InfluxWindowHistory(configuration, limits: limits)
    }

    private static func failure(_ history: InfluxWindowHistory, within limit: Duration = .seconds(60)) async -> HistoryFailure? {
        do throws(HistoryFailure) {
            _ = try await history.rows(of: "SELECT 1", within: limit)
            return nil
        } catch { return error }
    }

    @Test(arguments: WindowHistoryContract.clauses) func `the fake keeps the contract`(_ clause: WindowHistoryClause) async throws {
        let history = InMemoryWindowHistory()
        try await clause.check(
            WindowHistoryBench(history: history, nonsense: "SELEKT") { points, columns, tags in
                let query = "SELECT \(columns) BY \(tags) OF \(points.count)"
                history.answer(query, InMemoryWindowHistory.series(of: points, columns, tags))
                return query
            })
    }

    @Test func `a query goes out as a form, with user and password, and never in the URL`() async throws {
        let server = LoopbackServer { _ in .init(body: Self.good) }
        defer { server.stop() }
        let series = try await Self.history(server).rows(
            of: "SELECT mean(\"kw\") FROM m WHERE a = 'b&c=d' AND t > 5 + 1", within: .seconds(60))
        #expect(series.first?.rows == [HistoryRow(at: Instant(nanoseconds: 1), [2])])
        let request = try #require(server.requests.first)
        #expect(request.head.hasPrefix("POST /query HTTP/1.1\r\n"))
        #expect(request.head.contains("Authorization: Basic dTpwQHNz"))
        #expect(
            request.text
                == "db=d%20b%26&epoch=ns&chunked=true&q=SELECT%20mean%28%22kw%22%29%20FROM%20m%20WHERE%20a%20%3D%20%27b%26c%3Dd%27%20AND%20t%20%3E%205%20%2B%201"
        )
    }

    @Test func `a token goes out as InfluxDB 2 and 3 want it`() async throws {
        let server = LoopbackServer { _ in .init(body: Self.good) }
        defer { server.stop() }
        _ = try await Self.history(server, token: "t0ken").rows(of: "SELECT 1", within: .seconds(60))
        #expect(server.requests.first?.head.contains("Authorization: Token t0ken") == true)
    }

    @Test(arguments: [
        (400, #"{"error":"error parsing query: found X"}"#, HistoryFailure.refused("InfluxDB answered 400: error parsing query: found X")),
        (401, #"{"error":"authorization failed"}"#, .refused("InfluxDB answered 401: authorization failed")),
        (401, #"{"code":"unauthorized","message":"unauthorized access"}"#, .refused("InfluxDB answered 401: unauthorized access")),
        (404, "no such page\n", .refused("InfluxDB answered 404: no such page")),
        (301, "", .refused("InfluxDB answered 301: redirects are not followed")),
        (503, "busy", .unavailable("InfluxDB answered 503: busy")), (429, "", .unavailable("InfluxDB answered 429")),
        (500, #"{"error":"p@ss is wrong"}"#, .unavailable("InfluxDB answered 500: *** is wrong")),
        (200, #"{"results":[{"error":"max-select-series limit exceeded"}]}"#, .refused("InfluxDB says: max-select-series limit exceeded")),
    ]) func `what InfluxDB says is told, and no secret`(_ status: Int, _ body: String, _ expected: HistoryFailure) async throws {
        let server = LoopbackServer { _ in .init(status: status, body: body, headers: status == 301 ? "Location: /x\r\n" : "") }
        defer { server.stop() }
        #expect(await Self.failure(try Self.history(server)) == expected)
    }

    @Test func `an answer that is too large is cut off, not taken in`() async throws {
        let server = LoopbackServer { _ in .init(body: String(repeating: "x", count: 2_000_000)) }
        defer { server.stop() }
        var limits = QueryAnswer.Limits()
        limits.bytes = 100_000
        let failure = await Self.failure(try Self.history(server, limits: limits))
        #expect(failure == .refused("InfluxDB at \(server.url): a part of the answer is larger than 25000 bytes"))
    }

    @Test(.timeLimit(.minutes(10))) func `a cut answer, a silent server and nobody there are told as such`() async throws {
        let cut = LoopbackServer { _ in .init(body: Self.good, missing: 10) }
        defer { cut.stop() }
        let reason = await Self.failure(try Self.history(cut))
        #expect(reason?.isUnavailable == true && reason?.description.hasPrefix("InfluxDB at \(cut.url):") == true)
        let silent = LoopbackServer { _ in .silence }
        defer { silent.stop() }
        let late = await Self.failure(try Self.history(silent, timeout: .seconds(3600)), within: .milliseconds(200))
        #expect(late?.isUnavailable == true && late?.description.contains("Timeout") == true, "\(late as Any)")
        let gone = try Self.history(silent, timeout: .milliseconds(300))
        silent.stop()
        #expect(await Self.failure(gone) != nil)
        #expect(await gone.unreadyReason()?.contains("InfluxDB at") == true)
    }

    @Test func `it is unready while it is shut to us, not for a mistake in one query`() async throws {
        let server = LoopbackServer { request in
            if request.head.hasPrefix("GET /ping") { return .init(status: 204) }
            if request.text.hasSuffix("q=bad") { return .init(status: 400, body: #"{"error":"syntax"}"#) }
            return request.text.hasSuffix("q=shut") ? .init(status: 401, body: #"{"error":"who are you"}"#) : .init(body: Self.good)
        }
        defer { server.stop() }
        let history = try Self.history(server)
        #expect(await history.unreadyReason() == nil)
        _ = try? await history.rows(of: "bad", within: .seconds(60))
        #expect(await history.unreadyReason() == nil)
        _ = try? await history.rows(of: "shut", within: .seconds(60))
        #expect(await history.unreadyReason() == "InfluxDB answered 401: who are you")
        _ = try? await history.rows(of: "good", within: .seconds(60))
        #expect(await history.unreadyReason() == nil)
    }

    @Test(
        arguments: [
            ("ftp://x", "d", nil, nil, nil, "'influxdb.url' must be http://HOST:PORT or https://HOST:PORT"),
            ("http://x?u=y", "d", nil, nil, nil, "'influxdb.url' must be http://HOST:PORT or https://HOST:PORT"),
            (
                "http://a:b@x", "d", nil, nil, nil,
                "'influxdb.url' holds no user and password: they are 'influxdb.username' and 'influxdb.password'"
            ),
            ("http://x", "", nil, nil, nil, "'influxdb.url' needs 'influxdb.database'"),
            ("http://x", "d", "u", nil, nil, "'influxdb.username' and 'influxdb.password' go together"),
            ("http://x", "d", "u", "p", "t", "'influxdb.token' and 'influxdb.username' cannot both be given: which of them is meant?"),
        ] as [(String, String, String?, String?, String?, String)])
    func `a configuration that cannot work is refused`(
        _ url: String, _ database: String, _ username: String?, _ password: String?, _ token: String?, _ says: String
    ) {
        let mistake = #expect(throws: InfluxConfiguration.Mistake.self) {
            try InfluxConfiguration(url: url, database: database, username: username, password: password, token: token)
        }
        #expect(mistake?.description == says)
    }
}

extension HistoryFailure {
    fileprivate var isUnavailable: Bool { if case .unavailable = self { true } else { false } }
}
