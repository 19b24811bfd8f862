import Hummingbird

/// A path and what its methods do.
struct Route: Sendable {
    typealias Handler = @Sendable (APIRequest) async throws -> Answer

    /// What a method takes as its body.
    enum Body: Sendable, Equatable {
        /// Whatever comes is left alone.
        case ignored
        case json, mergePatch, yaml

        /// In bytes.
        var limit: Int {
            switch self {
            case .ignored: 0
            case .json, .mergePatch: 1 << 20
            case .yaml: 4 << 20
            }
        }

        var mediaTypes: [String] {
            switch self {
            case .ignored: []
            case .json: ["application/json"]
            case .mergePatch: ["application/merge-patch+json", "application/json"]
            // JSON is YAML, too.
            case .yaml: ["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", "application/json"]
            }
        }
    }

    struct Method: Sendable {
        var method: HTTPRequest.Method
        /// Query parameters that are allowed; nil lets every query pass.
        var query: [String]?
        var body: Body
        var handle: Handler

        static func get(query: [String]? = [], _ handle: @escaping Handler) -> Method {
            Method(method: .get, query: query, body: .ignored, handle: handle)
        }
        static func put(_ body: Body, query: [String] = [], _ handle: @escaping Handler) -> Method {
            Method(method: .put, query: query, body: body, handle: handle)
        }
        static func patch(_ handle: @escaping Handler) -> Method { Method(method: .patch, query: [], body: .mergePatch, handle: handle) }
        static func delete(_ handle: @escaping Handler) -> Method { Method(method: .delete, query: [], body: .ignored, handle: handle) }
        static func post(_ handle: @escaping Handler) -> Method { post(.ignored, handle) }
        static func post(_ body: Body, _ handle: @escaping Handler) -> Method {
            Method(method: .post, query: [], body: body, handle: handle)
        }
    }

    enum Part: Sendable, Equatable {
        case literal(String)
        case parameter(String)
    }

    var parts: [Part]
    var methods: [Method]

    /// - Parameter path: `/devices/{id}`: parts in braces match any one part of a path.
    init(_ path: String, _ methods: Method...) {
        parts = path.split(separator: "/").map { part in
            part.hasPrefix("{") && part.hasSuffix("}") ? .parameter(String(part.dropFirst().dropLast())) : .literal(String(part))
        }
        self.methods = methods
    }

    /// For `Allow`: GET answers HEAD, too.
    var allowed: String {
        methods.flatMap { $0.method == .get ? ["GET", "HEAD"] : [$0.method.rawValue] }.joined(separator: ", ")
    }
}

/// Every route of the interface.
///
/// Hummingbird's router is not used: it drops empty parts of paths, leaves them encoded, compares them as Strings do (canonical equivalence) and knows no
/// difference between an unknown path and a wrong method.
struct RouteTable: Sendable {
    enum Match: Sendable {
        case found(Route.Method, parameters: [String: String])
        case methodNotAllowed(allowed: String)
        case unknownPath
        case undecodable(part: String)
    }

    let routes: [Route]

    /// - Parameter path: as it stands in the request, percent-encoded, without the query.
    func match(_ method: HTTPRequest.Method, _ path: String) -> Match {
        guard path.utf8.first == UInt8(ascii: "/") else { return .unknownPath }
        var parts: [String] = []
        for part in path.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            guard let decoded = PercentCoding.decode(part) else { return .undecodable(part: String(part)) }
            parts.append(decoded)
        }
        for route in routes {
            guard let parameters = Self.parameters(of: route, in: parts) else { continue }
            let asked: HTTPRequest.Method = method == .head ? .get : method
            guard let found = route.methods.first(where: { $0.method == asked }) else { return .methodNotAllowed(allowed: route.allowed) }
            return .found(found, parameters: parameters)
        }
        return .unknownPath
    }

    private static func parameters(of route: Route, in parts: [String]) -> [String: String]? {
        guard route.parts.count == parts.count else { return nil }
        var parameters: [String: String] = [:]
        for (pattern, part) in zip(route.parts, parts) {
            switch pattern {
            case .literal(let text): guard text.utf8.elementsEqual(part.utf8) else { return nil }
            case .parameter(let name):
                guard !part.isEmpty else { return nil }
                parameters[name] = part
            }
        }
        return parameters
    }
}
