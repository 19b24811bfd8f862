import HTTPTypes

/// Methods as test arguments.
enum HTTPMethodName: String, Sendable, CaseIterable {
    case get = "GET"
    case head = "HEAD"
    case put = "PUT"
    case patch = "PATCH"
    case post = "POST"
    case delete = "DELETE"
    case options = "OPTIONS"
    case trace = "TRACE"
    case brew = "BREW"

    var method: HTTPRequest.Method {
        switch self {
        case .get: .get
        case .head: .head
        case .put: .put
        case .patch: .patch
        case .post: .post
        case .delete: .delete
        case .options: .options
        case .trace: .trace
        case .brew: .init(rawValue: "BREW") ?? .trace
        }
    }
}
