import RuleEngine
import TestSupport
import Testing

@testable import InfluxWindows

/// What scripts ask and write.
@Suite struct InfluxAccessTests {
    private static func access(_ server: LoopbackServer) throws -> InfluxAccess {
        InfluxAccess(try InfluxConfiguration(url: server.url, database: "d", token: "secret"))
    }

    @Test func `a point is a line, with everything escaped that has a meaning there`() {
        let point = SeriesPoint(
            measurement: "m, =e", tags: ["z": "1", "a b": "x,y=z\\"],
            fields: [.init("n", 3), .init("x", 1.5), .init("on", true), .init("t=", #"a "b" \ c"#), .init("e", .double(1e21))],
            at: Instant(nanoseconds: 1_700_000_000_000_000_001))
        #expect(
            String(decoding: PointLine.of(point), as: UTF8.self)
                == #"m\,\ =e,a\ b=x\,y\=z\,z=1 n=3i,x=1.5,on=true,t\==""# + #"a \"b\" \\ c",e=1e+21 1700000000000000001"# + "\n")
    }

    @Test func `series come with their names, tags and rows`() async throws {
        let body =
            #"{"results":[{"series":[{"name":"a","tags":{"s":"1"},"columns":["time","v"],"values":[[1000000000,2],[2000000000,null]]},{"name":"b","columns":["time","v"],"values":[]}]}]}"#
        let server = LoopbackServer { _ in .init(body: body) }
        defer { server.stop() }
        let series = try await Self.access(server).series(of: "SELECT v FROM /./")
        #expect(
            series == [
                ["name": "a", "tags": ["s": "1"], "rows": [["time": 1.0, "v": 2], ["time": 2.0, "v": .null]]],
                ["name": "b", "tags": .emptyObject, "rows": .array([])],
            ])
        #expect(server.requests.first?.text.contains("q=SELECT%20v%20FROM") ?? false)
    }

    @Test(arguments: [
        (400, #"{"error":"secret field type conflict"}"#, "InfluxDB answered 400: *** field type conflict"),
        (503, "", "InfluxDB answered 503"),
    ])
    func `a point that is not taken says why, without secrets`(_ status: Int, _ body: String, _ reason: String) async throws {
        let server = LoopbackServer { _ in .init(status: status, body: body) }
        defer { server.stop() }
        let point = SeriesPoint(measurement: "m", tags: [:], fields: [.init("n", 1)], at: Instant(nanoseconds: 5))
        let access = try Self.access(server)
        do throws(HistoryFailure) {
            try await access.write(point)
            Issue.record("it was taken")
        } catch { #expect(error.description == reason) }
        #expect(server.requests.first?.head.hasPrefix("POST /write?db=d&precision=ns ") ?? false)
        #expect(server.requests.first?.text == "m n=1i 5\n")
    }

    @Test func `an answer that is too large is refused`() async throws {
        let row = "[1,2],"
        let rows = String(repeating: row, count: 10_001).dropLast()
        let server = LoopbackServer { _ in
            .init(body: #"{"results":[{"series":[{"name":"a","columns":["time","v"],"values":["# + rows + "]}]}]}")
        }
        defer { server.stop() }
        let access = try Self.access(server)
        do throws(HistoryFailure) {
            _ = try await access.series(of: "SELECT v FROM a")
            Issue.record("it was taken")
        } catch { #expect(error.description.contains("more than 10000 rows")) }
    }
}
