import Logging
import RuleEngine
import ServiceLifecycle
import Testing

@testable import RESTInterface

/// The server on a real socket.
@Suite(.timeLimit(.minutes(10)))
struct LiveServerTests {
    /// Runs a server on a port that the system chooses until `body` ends, then tells it to end and does `whileEnding`; returns when it has ended.
    private func withServer(
        _ operations: FakeOperations, grace: Duration = RESTServer.shutdownGrace, _ body: (_ port: Int) async throws -> Void,
        whileEnding: () async throws -> Void = {}
    ) async throws {
        let (ports, listening) = AsyncStream.makeStream(of: Int.self)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        var server = RESTServer(address: try HTTPAddress("127.0.0.1:0"), operations: operations, logger: logger) {
            listening.yield($0.port)
        }
        server.grace = grace
        let group = ServiceGroup(configuration: .init(services: [.init(service: server)], logger: logger))
        async let end: Void = group.run()
        let port = try #require(await ports.first { _ in true })
        try await body(port)
        await group.triggerGracefulShutdown()
        try await whileEnding()
        try await end
    }

    @Test func `Requests are answered over TCP, several on one connection, HEAD among them`() async throws {
        let operations = await FakeOperations()
        try await withServer(operations) { port in
            #expect(port > 0)
            let connection = try RawConnection(port: port)
            defer { connection.close() }
            let body = #"{"config":{"max":5}}"#
            try connection.send(
                "PUT /api/v1/devices/a%2Fb HTTP/1.1\r\nHost: localhost:\(port)\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
            )
            let made = try await connection.receive(until: "}}")
            #expect(made.hasPrefix("HTTP/1.1 201 "))
            try connection.send("HEAD /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            let head = try await connection.receive(until: "\r\n\r\n")
            #expect(head.hasPrefix("HTTP/1.1 200 "))
            #expect(head.lowercased().contains("content-length: 15\r\n"))
            try connection.send("GET /api/v1/devices/a%2Fb HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n\r\n")
            let read = try await connection.receive()
            #expect(read.hasPrefix("HTTP/1.1 200 "))
            #expect(read.hasSuffix(#""effectiveConfig":{"max":5}}"#))
        }
        #expect(await operations.deviceRecords["a/b"]?.config == ["max": 5])
    }

    @Test(arguments: [
        ("GET /api/v1/rules HTTP/1.1\r\nHost: example.com\r\n", "421"),
        ("GET http://localhost/api/v1/rules HTTP/1.1\r\nHost: example.com\r\n", "421"),
        ("GET /api/v1/rules HTTP/1.1\r\n", "400"), ("GET http://localhost/api/v1/rules HTTP/1.1\r\nHost: localhost\r\n", "200"),
        ("GET /api/v1/rules HTTP/1.1\r\nHost: localhost\r\nHost: example.com\r\n", "400"),
        ("GET example HTTP/1.1\r\nHost: localhost\r\n", "4"),
        ("DELETE /api/v1/devices/d HTTP/1.1\r\nHost: localhost\r\nOrigin: http://example.com\r\n", "403"), ("NONSENSE\r\n", "400"),
        ("PUT /api/v1/devices/d HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n", "413"),
        (
            "PUT /api/v1/devices/d HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999999999999999999\r\n",
            "400"
        ),
    ])
    func `A request that is not for this server is refused before it does anything`(request: String, status: String) async throws {
        let operations = await FakeOperations { $0.deviceRecords["d"] = DeviceRecord(id: "d", config: ["a": 1]) }
        try await withServer(operations) { port in
            let connection = try RawConnection(port: port)
            defer { connection.close() }
            try connection.send(request + "Connection: close\r\n\r\n")
            let head = try await connection.receive(until: "}")
            #expect(head.hasPrefix("HTTP/1.1 " + status), "\(head)")
        }
        #expect(await operations.deviceRecords == ["d": DeviceRecord(id: "d", config: ["a": 1])])
    }

    @Test func `Idle connections do not hold up the end`() async throws {
        var open: [RawConnection] = []
        defer { for connection in open { connection.close() } }
        // Were they waited for, the test would not end in time.
        try await withServer(await FakeOperations(), grace: .seconds(3600)) { port in
            for isUsed in [false, true, true] {
                let connection = try RawConnection(port: port)
                open.append(connection)
                guard isUsed else { continue }
                try connection.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                _ = try await connection.receive(until: "}")
            }
        }
        for connection in open { #expect(try await connection.receive().isEmpty) }
    }

    @Test(arguments: [
        "PUT /api/v1/devices/d HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
        "GET /healthz HTT",
        "PUT /api/v1/devices/d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n{",
    ])
    func `A client that never ends its request does not hold up the end`(request: String) async throws {
        var open: [RawConnection] = []
        defer { for connection in open { connection.close() } }
        try await withServer(await FakeOperations(), grace: .milliseconds(50)) { port in
            let connection = try RawConnection(port: port)
            open.append(connection)
            try connection.send(request)
            // Answered only after the half request was taken in.
            let other = try RawConnection(port: port)
            try other.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            _ = try await other.receive()
            other.close()
        }
        // Without the grace the server would wait as long as the client, which waits here.
        #expect(RESTServer.shutdownGrace < .seconds(2))
    }

    @Test func `A request under way is answered before the end, and no other is taken`() async throws {
        let (begun, begin) = AsyncStream.makeStream(of: Void.self)
        let (gate, opener) = AsyncStream.makeStream(of: Void.self)
        let operations = await FakeOperations { fake in
            fake.reloadOutcome = .reloaded(changed: ["late"])
            fake.duringReload = {
                begin.yield()
                for await _ in gate { break }
            }
        }
        var open: [RawConnection] = []
        var port = 0
        defer { for connection in open { connection.close() } }
        try await withServer(operations, grace: .seconds(3600)) { chosen in
            port = chosen
            let connection = try RawConnection(port: port)
            open.append(connection)
            try connection.send("POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for await _ in begun { break }
        } whileEnding: {
            opener.yield()
            let answer = try await #require(open.first).receive(until: #"{"changed":["late"]}"#)
            #expect(answer.hasPrefix("HTTP/1.1 200 "))
            #expect(answer.hasSuffix(#"{"changed":["late"]}"#))
        }
        #expect(throws: RawConnection.Failure.self) { try RawConnection(port: port) }
    }

    @Test func `A port that is taken is said`() async throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        try await withServer(await FakeOperations()) { port in
            let second = RESTServer(address: try HTTPAddress("127.0.0.1:\(port)"), operations: await FakeOperations(), logger: logger)
            let failure = await #expect(throws: RESTServer.ListenFailure.self) { try await second.run() }
            #expect(failure?.description.hasSuffix("cannot listen on 127.0.0.1:\(port): Address already in use") == true)
            #expect(failure?.description.contains("in use") == true)
        }
    }
}
