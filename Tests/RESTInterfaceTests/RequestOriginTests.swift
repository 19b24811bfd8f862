import HTTPTypes
import RESTInterface
import RuleEngine
import Testing

@testable import RESTInterface

@Suite struct RequestOriginTests {
    @Test(arguments: [
        "localhost", "localhost:8080", "LOCALHOST:8080", "localhost.", "nodesphere.localhost:1", "127.0.0.1", "127.0.0.1:8080",
        "127.8.9.10:80", "[::1]",
        "[::1]:8080", "[0:0:0:0:0:0:0:1]:80", "[::ffff:127.0.0.1]:80",
    ])
    func `A request to this machine is answered`(host: String) {
        #expect(RequestOrigin.refusal(authority: host, origin: nil, fetchSite: nil, changes: true) == nil)
        #expect(
            RequestOrigin.refusal(authority: host, origin: "http://" + host.lowercased(), fetchSite: "same-origin", changes: true) == nil)
    }

    @Test(arguments: [
        "example.com", "example.com:8080", "127.0.0.1.example.com", "localhost.example.com", "notlocalhost", "0.0.0.0:8080", "192.168.1.1",
        "[::]:80",
        "[fe80::1]", "127.0.0.1@example.com", "[::1].example.com", "[::1", "2130706433", "127.1", "0x7f.0.0.1", "127.0.0.1\u{0}", "::1",
        "user@localhost",
    ])
    func `A request to another name is refused, as a page with a rebound name would send it`(host: String) {
        for changes in [false, true] {
            let refusal = RequestOrigin.refusal(authority: host, origin: nil, fetchSite: nil, changes: changes)
            #expect(refusal?.kind == .misdirected)
            #expect(refusal?.detail.contains("authentication") == true)
        }
    }

    @Test func `A request without a host is refused`() {
        #expect(RequestOrigin.refusal(authority: nil, origin: nil, fetchSite: nil, changes: false)?.kind == .invalidRequest)
        #expect(RequestOrigin.refusal(authority: "", origin: nil, fetchSite: nil, changes: false)?.kind == .invalidRequest)
    }

    @Test(arguments: [
        "http://example.com", "null", "https://localhost", "http://localhost:3000", "http://localhost.example.com", "", "file://",
        "http://127.0.0.1",
    ])
    func `A page of another origin may read what its browser lets it, and change nothing`(origin: String) async throws {
        let server = await FakeOperations { $0.deviceRecords["d"] = DeviceRecord(id: "d") }
        let headers: HTTPFields = [.origin: origin]
        for (method, path) in [(HTTPRequest.Method.delete, "/api/v1/devices/d"), (.post, "/api/v1/reload"), (.put, "/api/v1/devices/e")] {
            let reply = try await server.ask(method, path, method == .put ? "{}" : nil, headers: headers)
            expectProblem(reply, 403, "cross-origin", saying: "another origin")
        }
        #expect(await server.reloads == 0)
        #expect(await Array(server.deviceRecords.keys) == ["d"])
        let read = try await server.ask(.get, "/api/v1/devices/d", headers: headers)
        #expect(read.status == 200)
        #expect(!read.headers.contains(.accessControlAllowOrigin))
    }

    @Test func `A page of the same origin may change things`() async throws {
        let server = await FakeOperations()
        let reply = try await server.ask(.post, "/api/v1/reload", headers: [.origin: "http://localhost", .secFetchSite: "same-origin"])
        #expect(reply.status == 200)
    }

    @Test func `A browser that says that a change comes from another site is refused`() async throws {
        let server = await FakeOperations()
        expectProblem(try await server.ask(.post, "/api/v1/reload", headers: [.secFetchSite: "cross-site"]), 403, "cross-origin")
        #expect(await server.reloads == 0)
    }
}
