import Foundation
import Logging
import LuaScripting
import NotificationChannels
import OutgoingHTTP
import RuleEngine
import RuleLanguage
import TestSupport
import Testing

/// The shipped channels over real HTTP, against servers that ask for what each service's documentation does.
@Suite struct PluginChannelTests {
    static let plugins = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../plugins").standardized.path

    private func channel(_ service: Service, at origin: String, granted: [String]? = nil) throws -> any NotificationAttempting {
        let contents = PluginFolder("\(Self.plugins)/\(service.rawValue)").read(environment: RuleLanguageEnvironment.standard)
        var manifest = try #require(contents.manifests.first)
        if granted == nil { manifest.permissions.hosts.append(try #require(HostPattern("127.0.0.1"))) }
        var permissions = manifest.permissions
        if let granted { permissions.hosts = granted.compactMap(HostPattern.init) }
        let plugin = try LuaPlugin(
            manifest, settings: .defaults(of: manifest.settings), granted: permissions,
            services: LuaPlugin.Services(
                http: HTTPRequests(HTTPClient()), publisher: nil, rendering: ConstantTextRendering(), secret: { $0.read() },
                logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })))
        let values = service.values(at: origin).over(.defaults(of: manifest.settings))
        return try plugin.channel(
            PluginChannelConfiguration(channel: service.rawValue, plugin: service.rawValue, values: values, timeout: .seconds(20)))
    }

    private static func server(_ service: Service) -> LoopbackServer {
        LoopbackServer { request in
            guard let complaint = service.complaint(Service.Request(request)) else { return .status(service.goodStatus) }
            return .init(status: 400, body: complaint)
        }
    }

    private static func notification(_ alerts: [Document], status: String = "firing", key: String = "{}:{alertname=\"A\"}")
        -> RuleEngine.Notification
    {
        RuleEngine.Notification(
            id: "intent-1", receiver: "team",
            document: [
                "version": "4", "groupKey": .string(key), "truncatedAlerts": 0, "status": .string(status), "receiver": "team",
                "groupLabels": ["alertname": "A"], "commonLabels": ["alertname": "A"], "commonAnnotations": [:], "externalURL": "",
                "alerts": .array(alerts),
            ])
    }

    private static func alert(_ summary: String, status: String = "firing", severity: String = "critical") -> Document {
        [
            "status": .string(status), "labels": ["alertname": "A", "severity": .string(severity)],
            "annotations": ["summary": .string(summary), "runbook_url": "https://example.org/r"], "startsAt": "2024-05-01T08:00:00.000Z",
            "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "6c9e8b1d0f2a3b4c",
        ]
    }

    @Test(arguments: Service.allCases) func `a service takes what its channel sends`(_ service: Service) async throws {
        let server = Self.server(service)
        defer { server.stop() }
        let channel = try channel(service, at: "http://127.0.0.1:\(server.port)")
        for status in ["firing", "resolved"] {
            #expect(await channel.attempt(Self.notification([Self.alert("warm", status: status)], status: status)).result == .delivered)
        }
        #expect(server.requests.count == 2)
    }

    @Test(arguments: Service.allCases) func `whatever a payload's text holds, the service's limits and markup are kept`(_ service: Service)
        async throws
    {
        let server = Self.server(service)
        defer { server.stop() }
        let channel = try channel(service, at: "http://127.0.0.1:\(server.port)")
        let hostile = [
            String(repeating: "x", count: 100_000), String(repeating: "🌡", count: 30_000), String(repeating: "<b>&\"'`*_~\\", count: 5_000),
            "@everyone <!channel> <script>alert(1)</script> </b> &lt; [a](b)", "\u{0} \u{7} \u{202E} \n\n\r\n", "{{ status }}", "",
            String(repeating: "a\n", count: 20_000),
        ]
        for text in hostile {
            let result = await channel.attempt(Self.notification([Self.alert(text)])).result
            #expect(result == .delivered, "\(text.prefix(20))…: \(result)")
        }
        let many = (0..<500).map { Self.alert("alert \($0) \(String(repeating: "&<", count: 200))") }
        #expect(await channel.attempt(Self.notification(many, key: String(repeating: "k", count: 5_000))).result == .delivered)
    }

    @Test(arguments: Service.allCases) func `trouble of the service is told apart from refusals`(_ service: Service) async throws {
        for (status, isRetried) in [(429, true), (500, true), (503, true), (400, false), (401, false), (404, false)] {
            let server = LoopbackServer { _ in .init(status: status, body: "no") }
            let result = try await channel(service, at: "http://127.0.0.1:\(server.port)").attempt(Self.notification([Self.alert("x")]))
                .result
            server.stop()
            switch result {
            case .failed: #expect(isRetried, "\(status)")
            case .rejected(let reason): #expect(!isRetried && reason.contains("\(status)"), "\(status): \(reason)")
            case .delivered: Issue.record("\(status) is no delivery")
            }
        }
    }

    @Test(arguments: Service.allCases) func `without an answer it is tried again, and may have arrived`(_ service: Service) async throws {
        let server = LoopbackServer { _ in .close }
        let attempt = try await channel(service, at: "http://127.0.0.1:\(server.port)").attempt(Self.notification([Self.alert("x")]))
        server.stop()
        guard case .failed = attempt.result else {
            Issue.record("\(attempt.result)")
            return
        }
        #expect(attempt.mayHaveArrived)
    }

    @Test(arguments: Service.allCases) func `without a grant nothing is sent`(_ service: Service) async throws {
        let server = Self.server(service)
        defer { server.stop() }
        let channel = try channel(service, at: "http://127.0.0.1:\(server.port)", granted: [])
        guard case .rejected(let reason) = await channel.attempt(Self.notification([Self.alert("x")])).result else {
            Issue.record("it was not rejected")
            return
        }
        #expect(reason.contains("plugin '\(service.rawValue)' may not send requests to '127.0.0.1:\(server.port)'"))
        #expect(server.requests.isEmpty)
    }

    @Test func `the notification's secret is not told`() async throws {
        let server = LoopbackServer { _ in .init(status: 403, body: "the key R0123456789012345678901234567890 is not known") }
        defer { server.stop() }
        let channel = try channel(.pagerduty, at: "http://127.0.0.1:\(server.port)")
        #expect(
            await channel.attempt(Self.notification([Self.alert("x")])).result
                == .rejected(reason: "the service answered 403: the key <secret> is not known"))
    }

    @Test func `headers and body of an answer are kept, and no more than a mebibyte`() async {
        let server = LoopbackServer { request in
            request.head.hasPrefix("GET /big")
                ? .init(status: 200, body: String(repeating: "x", count: 3 << 20))
                : .init(status: 201, body: "hello", headers: "X-One: a b \r\n")
        }
        defer { server.stop() }
        let client = HTTPRequests(HTTPClient())
        let origin = "http://127.0.0.1:\(server.port)"
        guard
            case .response(let status, let headers, let body) = await client.send(
                HTTPCall(method: "PUT", url: "\(origin)/a", body: [1, 2]))
        else {
            Issue.record("no response")
            return
        }
        #expect(status == 201 && headers.contains { $0.name == "x-one" && $0.value == "a b" } && body == Array("hello".utf8))
        #expect(server.requests.first?.head.hasPrefix("PUT /a ") == true && server.requests.first?.body == [1, 2])
        guard case .response(_, _, let big) = await client.send(HTTPCall(url: "\(origin)/big")) else {
            Issue.record("no response")
            return
        }
        #expect(big.count == 1 << 20)
        guard case .refused = await client.send(HTTPCall(method: "TRACE", url: origin)),
            case .refused = await client.send(HTTPCall(url: "ftp://a/")),
            case .refused = await client.send(HTTPCall(url: origin, headers: [("a b", "c")]))
        else {
            Issue.record("it should have been refused")
            return
        }
    }
}
