import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import RuleEngine

/// Takes a request through its stations: origin, route, media type, body, handler; every failure becomes a problem document.
struct APIResponder: HTTPResponder {
    typealias Context = BasicRequestContext

    let table: RouteTable
    let logger: Logger

    func respond(to request: Request, context: BasicRequestContext) async throws -> Response {
        let startedAt = ContinuousClock.now
        let requestID = context.logger[metadataKey: "hb.request.id"]?.description ?? RequestID().description
        var metadata: Logger.Metadata = [
            "request": "\(requestID)", "method": "\(request.method.rawValue)", "path": "\(request.uri.path.prefix(300))",
        ]
        var answer: Answer
        do {
            answer = try await self.answer(to: request)
        } catch let problem as Problem {
            answer = problem.answer
            if problem.kind.status >= 500 { logger.warning("request failed: \(problem.detail)", metadata: metadata) }
        } catch let failure as StoreFailure {
            let problem = Problem(failure)
            answer = problem.answer
            logger.warning("request failed: \(problem.detail)", metadata: metadata)
        } catch let failure as BodyFailure {
            // The connection broke, or what came is no HTTP: Hummingbird closes it.
            logger.debug("request not received: \(failure.cause)", metadata: metadata)
            throw failure.cause
        } catch {
            logger.warning("request failed: \(error)", metadata: metadata)
            answer = Problem(.internalError, "the server's log says more under request \(requestID)").answer
        }
        metadata["status"] = "\(answer.status)"
        metadata["duration"] = "\(ContinuousClock.now - startedAt)"
        logger.debug("request", metadata: metadata)
        return answer.response(isHead: request.method == .head)
    }

    private func answer(to request: Request) async throws -> Answer {
        let changes = request.method != .get && request.method != .head
        // The first Host header is `authority`; one among the others is a second (RFC 9112 §3.2: it must be refused).
        guard !request.headers.contains(.secondHost) else { throw Problem.invalid("a request must have one Host header") }
        if let refusal = RequestOrigin.refusal(
            authority: request.head.authority, origin: request.headers[.origin], fetchSite: request.headers[.secFetchSite], changes: changes
        ) {
            throw refusal
        }
        switch table.match(request.method, request.uri.path) {
        case .unknownPath: throw Problem(.notFound, "there is nothing at '\(request.uri.path.prefix(300))'")
        case .undecodable(let part): throw Problem.invalid("'\(part.prefix(100))' in the path is not percent-encoded UTF-8")
        case .methodNotAllowed(let allowed):
            throw Problem(.methodNotAllowed, "'\(request.uri.path.prefix(300))' takes \(allowed)", headers: [.allow: allowed])
        case .found(let method, let parameters):
            let query = try Query(request.uri.query ?? "")
            if let known = method.query { try query.refuseAll(but: known) }
            let body = try await body(of: request, for: method.body)
            return try await method.handle(APIRequest(parameters: parameters, query: query, body: body))
        }
    }

    private func body(of request: Request, for rule: Route.Body) async throws -> [UInt8] {
        guard rule != .ignored else { return [] }
        let mediaType = request.headers[.contentType]?.prefix { $0 != ";" }.lowercased().filter { $0 != " " && $0 != "\t" }
        guard let mediaType, rule.mediaTypes.contains(mediaType) else {
            let expected = rule.mediaTypes.first ?? ""
            let header: HTTPFields = rule == .mergePatch ? [.acceptPatch: expected] : [.accept: expected]
            throw Problem(
                .unsupportedMediaType,
                "the body must be sent as \(expected), not \(mediaType.map { "'\($0.prefix(100))'" } ?? "without a Content-Type")",
                headers: header)
        }
        let tooLarge = Problem(.tooLarge, "a body here may have at most \(rule.limit) bytes")
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > rule.limit { throw tooLarge }
        do {
            return Array(try await request.body.collect(upTo: rule.limit).readableBytesView)
        } catch is NIOTooManyBytesError {
            throw tooLarge
        } catch {
            throw BodyFailure(cause: error)
        }
    }
}

/// The body of a request could not be read.
private struct BodyFailure: Error {
    var cause: any Error
}
