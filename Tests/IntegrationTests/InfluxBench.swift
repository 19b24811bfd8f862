import Foundation
import RuleEngine
import TestSupport
import Testing

@testable import InfluxWindows

/// A database for one test on the server of `scripts/services`, asked and filled past our own adapter.
final class InfluxBench: Sendable {
    static let url = ProcessInfo.processInfo.environment["NODESPHERE_INFLUXDB_URL"]

    let url: String
    let database: String
    let username: String
    let password: String

    init() async throws {
        url = try environment("NODESPHERE_INFLUXDB_URL")
        username = try environment("NODESPHERE_INFLUXDB_USERNAME")
        password = try environment("NODESPHERE_INFLUXDB_PASSWORD")
        database = uniqueName("t").replacingOccurrences(of: "-", with: "_")
        try await ask("CREATE DATABASE \(database)")
    }

    static func with(_ body: (InfluxBench) async throws -> Void) async throws {
        try await SharedServer.taking(["influxdb"]) {
            let bench = try await InfluxBench()
            let result: Result<Void, any Error>
            do { result = .success(try await body(bench)) } catch { result = .failure(error) }
            _ = try? await bench.ask("DROP DATABASE \(bench.database)")
            try result.get()
        }
    }

    var configuration: InfluxConfiguration {
        get throws { try InfluxConfiguration(url: url, database: database, username: username, password: password) }
    }

    /// What a server under test is told of it.
    var settings: [String: String] {
        [
            "NODESPHERE_INFLUXDB_URL": url, "NODESPHERE_INFLUXDB_DATABASE": database, "NODESPHERE_INFLUXDB_USERNAME": username,
            "NODESPHERE_INFLUXDB_PASSWORD": password,
        ]
    }

    private static let unreserved = CharacterSet.alphanumerics.union(CharacterSet(charactersIn: "-._~"))
    private func encoded(_ text: String) -> String { text.addingPercentEncoding(withAllowedCharacters: Self.unreserved) ?? "" }
    private var port: UInt16 { URLComponents(string: url)?.port.flatMap { UInt16(exactly: $0) } ?? 0 }

    @discardableResult
    func ask(_ query: String) async throws -> Document {
        let answer = await http("POST", port: port, "/query?db=\(database)&u=\(username)&p=\(password)&epoch=ns&q=\(encoded(query))")
        guard answer.status == 200 else { throw WireFailure(description: "InfluxDB: \(answer.status) \(answer.text)") }
        return answer.json["results"]?.array?.first ?? .null
    }

    /// Rows of the first series.
    func rows(_ query: String) async throws -> [[Document]] {
        (try await ask(query)["series"]?.array?.first?["values"]?.array ?? []).map { $0.array ?? [] }
    }

    /// Line protocol, as another program writes it.
    func write(_ lines: String, policy: String? = nil) async throws {
        let rp = policy.map { "&rp=\($0)" } ?? ""
        let answer = await http(
            "POST", port: port, "/write?db=\(database)&u=\(username)&p=\(password)&precision=ns\(rp)", lines, type: "text/plain")
        guard answer.status == 204 else { throw WireFailure(description: "InfluxDB: \(answer.status) \(answer.text)") }
    }
}

@Suite(.serialized, .usesInfluxDB, .enabled(if: InfluxBench.url != nil, "needs scripts/services up influxdb"))
struct InfluxTests {
    private static func line(_ point: StoredPoint) -> String {
        func escaped(_ text: String) -> String {
            text.replacingOccurrences(of: " ", with: "\\ ").replacingOccurrences(of: ",", with: "\\,").replacingOccurrences(
                of: "=", with: "\\=")
        }
        func value(_ value: Document) -> String {
            switch value {
            case .string(let text):
                "\"" + text.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"") + "\""
            default: value.json
            }
        }
        let tags = point.tags.sorted { $0.key < $1.key }.map { ",\($0.key)=\(escaped($0.value))" }.joined()
        return "m\(tags) \(point.fields.map { "\($0.name)=\(value($0.value))" }.joined(separator: ",")) \(point.at.nanoseconds)"
    }

    @Test(arguments: WindowHistoryContract.clauses) func `InfluxDB keeps the contract of a history`(_ clause: WindowHistoryClause)
        async throws
    {
        try await InfluxBench.with { bench in
            let history = InfluxWindowHistory(try bench.configuration)
            try await clause.check(
                WindowHistoryBench(history: history, nonsense: "SELEKT kw FROM m") { points, columns, tags in
                    for start in stride(from: 0, to: points.count, by: 5_000) {
                        try await bench.write(points[start..<min(points.count, start + 5_000)].map(Self.line).joined(separator: "\n"))
                    }
                    let group = tags.isEmpty ? "" : " GROUP BY \(tags.joined(separator: ", "))"
                    return "SELECT \(columns.joined(separator: ", ")) FROM m\(group)"
                })
        }
    }

    @Test func `a wrong password is told without it, and makes the server unready`() async throws {
        try await InfluxBench.with { bench in
            let history = InfluxWindowHistory(
                try InfluxConfiguration(url: bench.url, database: bench.database, username: bench.username, password: "wr0ng"))
            let failure = await #expect(throws: HistoryFailure.self) {
                try await history.rows(of: "SELECT kw FROM m", within: patience)
            }
            #expect(failure == .refused("InfluxDB answered 401: authorization failed"))
            #expect(await history.unreadyReason() == "InfluxDB answered 401: authorization failed")
        }
    }
}
