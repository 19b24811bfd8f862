import Glibc
import OutgoingHTTP
import RuleEngine
import TestSupport
import Testing

@testable import NotificationChannels

@Suite struct `Webhook channel` {
    static let document: Document = [
        "version": "4", "truncatedAlerts": 0, "receiver": "hook",
        "alerts": [["status": "firing"], ["status": "firing"], ["status": "resolved"]],
        "nodesphere": ["id": "abc", "alerts": [["id": "1"], ["id": "2"], ["id": "3"]]],
    ]
    let notification = Notification(id: "abc", receiver: "hook", document: document)
    let http = HTTPClient()

    func channel(
        _ url: String, authorization: HTTPConfiguration.Authorization? = nil, maxAlerts: Int = 0, timeout: Duration = .seconds(10)
    ) -> WebhookChannel {
        WebhookChannel(
            WebhookConfiguration(
                url: .text(url), http: HTTPConfiguration(authorization: authorization), maxAlerts: maxAlerts, timeout: timeout), http: http)
    }

    @Test func `the document is posted with the intent's id`() async throws {
        let server = LoopbackServer { _ in .status(200) }
        defer { server.stop() }
        let result = await channel(server.url + "/hook").attempt(notification)
        #expect(result == AttemptResult(.delivered))
        let request = try #require(server.requests.first)
        #expect(request.head.hasPrefix("POST /hook HTTP/1.1\r\n"))
        #expect(request.head.contains("\r\nNodesphere-Notification-Id: abc\r\n"))
        #expect(request.head.contains("\r\nContent-Type: application/json\r\n"))
        #expect(try Document(json: request.body) == Self.document)
    }

    static let refused = "rejected", failed = "failed", delivered = "delivered"
    @Test(arguments: [
        (200, delivered), (202, delivered), (204, delivered), (301, refused), (307, refused), (400, refused), (401, refused),
        (404, refused),
        (408, failed), (410, refused), (429, failed), (500, failed), (502, failed), (503, failed),
    ])
    func `the status says whether to try again`(status: Int, wanted: String) async {
        let server = LoopbackServer { _ in .status(status, headers: "Location: http://127.0.0.1:1/\r\n") }
        defer { server.stop() }
        let result = await channel(server.url).attempt(notification)
        #expect("\(result.result)".hasPrefix(wanted))
        #expect(!result.mayHaveArrived)
        #expect(server.requests.count == 1)
    }

    @Test func `Retry-After is passed on`() async {
        let server = LoopbackServer { _ in .status(429, headers: "Retry-After: 17\r\n") }
        defer { server.stop() }
        #expect(
            await channel(server.url).attempt(notification)
                == AttemptResult(.failed(reason: "the receiver answered 429", retryAfter: .seconds(17))))
    }

    @Test func `a receiver that does not answer is left after the time limit, and may have got it`() async {
        let server = LoopbackServer { _ in .silence }
        defer { server.stop() }
        let result = await channel(server.url, timeout: .milliseconds(150)).attempt(notification)
        guard case .failed(let reason, nil) = result.result else { Issue.record("\(result)"); return }
        #expect(result.mayHaveArrived)
        #expect(reason.hasPrefix("http://127.0.0.1:\(server.port): "))
    }

    @Test func `a connection that is cut after the request may have brought it`() async {
        let server = LoopbackServer { _ in .close }
        defer { server.stop() }
        let result = await channel(server.url).attempt(notification)
        guard case .failed = result.result else { Issue.record("\(result)"); return }
        #expect(result.mayHaveArrived)
    }

    @Test func `a refused connection has brought nothing`() async {
        let server = LoopbackServer { _ in .close }
        server.stop()
        let result = await channel(server.url).attempt(notification)
        guard case .failed = result.result else { Issue.record("\(result)"); return }
        #expect(!result.mayHaveArrived)
    }

    @Test func `a connection is used again`() async {
        let server = LoopbackServer { _ in .status(200) }
        defer { server.stop() }
        // One behind the other in the client: between calls that this test waits for, other tests may take the processor for so long that the
        // connection is given up as idle.
        let channel = WebhookChannel(WebhookConfiguration(url: .text(server.url)), http: HTTPClient(limit: 1))
        let delivered = await withTaskGroup(of: AttemptResult.self) { group in
            for _ in 0..<20 { group.addTask { await channel.attempt(notification) } }
            return await group.reduce(0) { $0 + ($1.result == .delivered ? 1 : 0) }
        }
        #expect(delivered == 20 && server.requests.count == 20 && server.connections == 1)
    }

    @Test func `a hundred are under way at once`() async {
        let server = LoopbackServer { _ in .together(100) }
        defer { server.stop() }
        let channel = channel(server.url)
        let delivered = await withTaskGroup(of: AttemptResult.self) { group in
            for _ in 0..<100 { group.addTask { await channel.attempt(notification) } }
            return await group.reduce(0) { $0 + ($1.result == .delivered ? 1 : 0) }
        }
        #expect(delivered == 100)
    }

    @Test func `beyond the limit calls wait their turn and all get through`() async {
        let server = LoopbackServer { _ in .status(200) }
        defer { server.stop() }
        let channel = WebhookChannel(WebhookConfiguration(url: .text(server.url)), http: HTTPClient(limit: 3))
        let delivered = await withTaskGroup(of: AttemptResult.self) { group in
            for _ in 0..<200 { group.addTask { await channel.attempt(notification) } }
            return await group.reduce(0) { $0 + ($1.result == .delivered ? 1 : 0) }
        }
        #expect(delivered == 200 && server.connections <= 3)
    }

    @Test(.timeLimit(.minutes(10))) func `a cancelled call ends at once, and its outcome is unknown`() async {
        let server = LoopbackServer { _ in .silence }
        defer { server.stop() }
        let channel = channel(server.url, timeout: .seconds(3600))
        let call = Task { await channel.attempt(notification) }
        while server.requests.isEmpty { await Task.yield() }
        call.cancel()
        let result = await call.value
        #expect(result == AttemptResult(.failed(reason: "cancelled", retryAfter: nil), mayHaveArrived: true))
        let never = Task { () -> AttemptResult in
            while !Task.isCancelled { await Task.yield() }
            return await channel.attempt(notification)
        }
        never.cancel()
        #expect(await never.value.mayHaveArrived == false)
    }

    @Test(arguments: [
        (HTTPConfiguration.Authorization.basic(username: "me", password: .text("secret")), "Authorization: Basic bWU6c2VjcmV0"),
        (.credentials(scheme: "Bearer", .text("token-1")), "Authorization: Bearer token-1"),
    ])
    func `credentials go along`(authorization: HTTPConfiguration.Authorization, header: String) async {
        let server = LoopbackServer { _ in .status(200) }
        defer { server.stop() }
        #expect(await channel(server.url, authorization: authorization).attempt(notification).result == .delivered)
        #expect(server.requests.first?.head.contains("\r\n\(header)\r\n") == true)
    }

    @Test func `secrets in files are read at each attempt`() async throws {
        let server = LoopbackServer { _ in .status(200) }
        defer { server.stop() }
        var template = Array("/tmp/nodesphere-secret-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { unlink(path) }
        for token in ["first\n", "second\n"] {
            lseek(descriptor, 0, SEEK_SET)
            ftruncate(descriptor, 0)
            _ = write(descriptor, token, token.utf8.count)
            let result = await channel(server.url, authorization: .credentials(scheme: "Bearer", .file(path))).attempt(notification)
            #expect(result.result == .delivered)
            #expect(server.requests.last?.head.contains("\r\nAuthorization: Bearer \(token.dropLast())\r\n") == true)
        }
        close(descriptor)
        let missing = await channel(server.url, authorization: .credentials(scheme: "Bearer", .file("/nonexistent/x"))).attempt(
            notification)
        #expect(missing == AttemptResult(.failed(reason: "<secret from /nonexistent/x> cannot be read", retryAfter: nil)))
    }

    @Test(arguments: ["ftp://127.0.0.1/", "file:///etc/passwd", "127.0.0.1/", "http://", "http://h/\r\nX: y", "", "gopher://h/"])
    func `only http and https are asked`(url: String) async {
        let result = await channel(url).attempt(notification)
        #expect(result == AttemptResult(.rejected(reason: "the URL must be http:// or https:// with a host")))
    }

    @Test func `a header cannot be smuggled in with a credential`() async {
        let server = LoopbackServer { _ in .status(200) }
        defer { server.stop() }
        let result = await channel(server.url, authorization: .credentials(scheme: "Bearer", .text("a\r\nX: y"))).attempt(notification)
        #expect("\(result.result)".hasPrefix("rejected") && server.requests.isEmpty)
    }

    @Test func `reasons show neither the credentials nor the path of the URL`() async {
        let server = LoopbackServer { _ in .close }
        server.stop()
        let result = await channel("http://me:hidden@127.0.0.1:\(server.port)/hidden?token=hidden").attempt(notification)
        #expect(!"\(result)".contains("hidden") && "\(result)".contains("127.0.0.1"))
    }

    @Test func `max_alerts cuts and counts`() async throws {
        let server = LoopbackServer { _ in .status(200) }
        defer { server.stop() }
        #expect(await channel(server.url, maxAlerts: 2).attempt(notification).result == .delivered)
        let sent = try Document(json: try #require(server.requests.first).body)
        #expect(sent["alerts"]?.array?.count == 2 && sent["truncatedAlerts"] == 1)
        #expect(sent["nodesphere"]?["alerts"]?.array?.count == 2 && sent["nodesphere"]?["id"] == "abc")
    }
}
