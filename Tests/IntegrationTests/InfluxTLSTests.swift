import Foundation
import RuleEngine
import Testing

@testable import InfluxWindows

/// An influxd of one test that speaks https only, with certificates made for it: of a server called `localhost` and nothing else.
private struct SecureInflux {
    static let username = "keeper", password = "s3cret of keeper"
    let folder: TestFolder
    let port: UInt16

    static func with(_ body: (SecureInflux) async throws -> Void) async throws {
        let influx = SecureInflux(folder: try TestFolder(), port: try freePort())
        try await influx.makeCertificates()
        let child = try influx.launch()
        let result: Result<Void, any Error>
        do {
            try await influx.prepare()
            result = .success(try await body(influx))
        } catch { result = .failure(error) }
        kill(child.id, SIGKILL)
        _ = await child.ended()
        try result.get()
    }

    func path(_ name: String) -> String { folder.path(name) }

    func configuration(
        host: String = "localhost", ca: String? = "ca.pem", password: String? = SecureInflux.password, token: String? = nil
    ) throws -> InfluxConfiguration {
        try InfluxConfiguration(
            url: "https://\(host):\(port)", database: "telemetry", username: token == nil ? Self.username : nil,
            password: token == nil ? password : nil, token: token, caFile: ca.map(path), timeout: .seconds(10))
    }

    /// An authority, a server's certificate of its own, and an authority that has signed nothing here.
    private func makeCertificates() async throws {
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        let script = """
            set -e
            for name in ca other-ca; do
                openssl req -x509 \(key) -days 2 -subj "/CN=test $name" -addext basicConstraints=critical,CA:TRUE -keyout $name-key.pem -out $name.pem
            done
            printf 'subjectAltName=DNS:localhost\\n' >server.ext
            openssl req \(key) -subj /CN=server -keyout server-key.pem -out server.csr
            openssl x509 -req -in server.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile server.ext -out server.pem
            """
        let child = try Child(
            "bash", ["-c", script], folder: folder.path, environment: ["PATH": "/usr/local/bin:/usr/bin:/bin"],
            output: path("openssl.log"), errors: path("openssl.log"))
        let status = await child.ended()
        try #require(status == 0, "openssl: \((try? String(contentsOfFile: path("openssl.log"), encoding: .utf8)) ?? "")")
    }

    private func launch() throws -> Child {
        let configuration = """
            reporting-disabled = true
            bind-address = "127.0.0.1:\(try freePort())"
            [meta]
              dir = "\(path("meta"))"
            [data]
              dir = "\(path("data"))"
              wal-dir = "\(path("wal"))"
            [monitor]
              store-enabled = false
            [http]
              bind-address = "127.0.0.1:\(port)"
              auth-enabled = true
              https-enabled = true
              https-certificate = "\(path("server.pem"))"
              https-private-key = "\(path("server-key.pem"))"
            """
        try configuration.write(toFile: path("influxdb.conf"), atomically: true, encoding: .utf8)
        return try Child(
            "influxd", ["-config", path("influxdb.conf")], folder: folder.path,
            environment: ["PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin", "HOME": folder.path], output: path("influxd.log"),
            errors: path("influxd.log"))
    }

    /// A user, a database and one point.
    private func prepare() async throws {
        let history = InfluxWindowHistory(try configuration())
        let isUp = await eventually { await history.unreadyReason() == nil }
        try #require(isUp, "influxd: \((try? String(contentsOfFile: path("influxd.log"), encoding: .utf8)) ?? "")")
        for statement in [
            "CREATE USER \(Self.username) WITH PASSWORD '\(Self.password)' WITH ALL PRIVILEGES", "CREATE DATABASE telemetry",
        ] { _ = try await history.rows(of: statement, within: patience) }
        let answer = await InfluxClient(try configuration()).write(
            Array("m kw=1.5 1000".utf8), retentionPolicy: nil, within: patience, into: QueryAnswer())
        guard case .answer(status: 204, _) = answer else { throw WireFailure(description: "InfluxDB: \(answer)") }
    }
}

@Suite(.serialized, .enabled(if: InfluxBench.url != nil, "needs scripts/services up influxdb"))
struct InfluxTLSTests {
    private static func failure(_ configuration: InfluxConfiguration) async -> String? {
        do throws(HistoryFailure) {
            _ = try await InfluxWindowHistory(configuration).rows(of: "SELECT kw FROM m", within: patience)
            return nil
        } catch { return error.description }
    }

    @Test func `InfluxDB is asked over TLS where its certificate is of a known authority and of its name`() async throws {
        try await SecureInflux.with { influx in
            let series = try await InfluxWindowHistory(influx.configuration()).rows(of: "SELECT kw FROM m", within: patience)
            #expect(series == [HistorySeries(columns: ["kw"], rows: [HistoryRow(at: Instant(nanoseconds: 1000), [1.5])])])
            func refusal(_ host: String, _ reason: String) -> String { "InfluxDB at https://\(host):\(influx.port): \(reason)" }
            let unknown = refusal("localhost", "SSL certificate problem: unable to get local issuer certificate")
            #expect(try await Self.failure(influx.configuration(ca: "other-ca.pem")) == unknown)
            #expect(try await Self.failure(influx.configuration(ca: nil)) == unknown)
            #expect(
                try await Self.failure(influx.configuration(host: "127.0.0.1"))
                    == refusal("127.0.0.1", "SSL: no alternative certificate subject name matches target host name '127.0.0.1'"))
            #expect(
                try await Self.failure(influx.configuration(ca: "no-ca.pem"))
                    == refusal("localhost", "error setting certificate file: \(influx.path("no-ca.pem"))"))
            let untrusting = InfluxWindowHistory(try influx.configuration(ca: "other-ca.pem"))
            #expect(await untrusting.unreadyReason() == unknown)
        }
    }

    @Test func `over TLS a wrong password and an unknown token are refused as InfluxDB says`() async throws {
        try await SecureInflux.with { influx in
            let good = try influx.configuration(), wrong = try influx.configuration(password: "wr0ng")
            let token = try influx.configuration(token: "t0ken")
            #expect(await Self.failure(good) == nil)
            #expect(await Self.failure(wrong) == "InfluxDB answered 401: authorization failed")
            #expect(await Self.failure(token)?.hasPrefix("InfluxDB answered 401") == true)
        }
    }
}
