import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import RESTInterface
import RuleEngine
import Testing

@testable import RESTInterface

/// What came back for a request.
struct Reply: Sendable {
    var status: Int
    var headers: HTTPFields
    var text: String

    /// The body as JSON; null when it is none.
    var document: Document { (try? Document(json: text)) ?? .null }
    var detail: String { document["detail"]?.string ?? "" }
    /// The `name` members of a list's items.
    func names(_ member: String = "name") -> [String] { document["items"]?.array?.compactMap { $0[member]?.string } ?? [] }
}

extension FakeOperations {
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// One interface over this server.
    nonisolated var responder: APIResponder { RESTServer.responder(self, Self.logger) }

    /// Sends one request through the routes, as a client on this machine.
    nonisolated func ask(
        _ method: HTTPRequest.Method, _ path: String, _ body: String? = nil, type: String? = nil, headers: HTTPFields = [:],
        through responder: APIResponder? = nil
    ) async throws -> Reply {
        let application = Application(responder: responder ?? self.responder, logger: Self.logger)
        var fields = headers
        let usual = method == .patch ? "application/merge-patch+json" : path.contains("/groups") ? "application/yaml" : "application/json"
        if let type = type ?? (body == nil ? nil : usual), !type.isEmpty { fields[.contentType] = type }
        let sent = fields
        return try await application.test(.router) { client in
            try await client.execute(uri: path, method: method, headers: sent, body: body.map { ByteBuffer(string: $0) }) { response in
                Reply(status: response.status.code, headers: response.headers, text: String(buffer: response.body))
            }
        }
    }

    nonisolated func get(_ path: String) async throws -> Reply { try await ask(.get, path) }
}

/// Checks that a reply is a problem document with this status, and that its detail says this.
func expectProblem(
    _ reply: Reply, _ status: Int, _ kind: String, saying part: String = "", sourceLocation: Testing.SourceLocation = #_sourceLocation
) {
    #expect(reply.status == status, sourceLocation: sourceLocation)
    #expect(reply.headers[.contentType] == "application/problem+json", sourceLocation: sourceLocation)
    #expect(reply.document["type"]?.string == "urn:nodesphere:problem:" + kind, sourceLocation: sourceLocation)
    #expect(reply.document["status"]?.int == Int64(status), sourceLocation: sourceLocation)
    #expect(reply.document["title"]?.string?.isEmpty == false, sourceLocation: sourceLocation)
    #expect(part.isEmpty || reply.detail.contains(part), "\(reply.detail)", sourceLocation: sourceLocation)
}
