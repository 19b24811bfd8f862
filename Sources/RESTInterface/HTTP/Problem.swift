import Hummingbird
import RuleEngine

/// An answer that says what is wrong: `application/problem+json` (RFC 9457).
struct Problem: Error, Sendable, Equatable {
    /// Each with the status it is sent with; the raw value is the last part of its `type`.
    enum Kind: String, Sendable, CaseIterable {
        case invalidRequest = "invalid-request"
        case invalidJSON = "invalid-json"
        case crossOrigin = "cross-origin"
        case notFound = "not-found"
        case methodNotAllowed = "method-not-allowed"
        case readOnly = "read-only"
        case conflict
        case tooLarge = "too-large"
        case unsupportedMediaType = "unsupported-media-type"
        case misdirected = "misdirected"
        case invalidRules = "invalid-rules"
        case internalError = "internal-error"
        case unavailable = "unavailable"

        var status: Int {
            switch self {
            case .invalidRequest, .invalidJSON: 400
            case .crossOrigin: 403
            case .notFound: 404
            case .methodNotAllowed: 405
            case .readOnly, .conflict: 409
            case .tooLarge: 413
            case .unsupportedMediaType: 415
            case .misdirected: 421
            case .invalidRules: 422
            case .internalError: 500
            case .unavailable: 503
            }
        }

        var title: String {
            switch self {
            case .invalidRequest: "Invalid request"
            case .invalidJSON: "Body is no JSON"
            case .crossOrigin: "Request from another origin"
            case .notFound: "Not found"
            case .methodNotAllowed: "Method not allowed"
            case .readOnly: "Read-only"
            case .conflict: "Not possible now"
            case .tooLarge: "Body too large"
            case .unsupportedMediaType: "Unsupported media type"
            case .misdirected: "Host not served here"
            case .invalidRules: "Rules have errors"
            case .internalError: "Internal error"
            case .unavailable: "Temporarily unavailable"
            }
        }
    }

    var kind: Kind
    var detail: String
    var diagnostics: [Diagnostic]?
    /// Further members of the document.
    var members: [Document.Member] = []
    /// Headers of the answer.
    var headers: HTTPFields = [:]

    init(_ kind: Kind, _ detail: String, diagnostics: [Diagnostic]? = nil, members: [Document.Member] = [], headers: HTTPFields = [:]) {
        self.kind = kind
        self.detail = detail
        self.diagnostics = diagnostics
        self.members = members
        self.headers = headers
    }

    static func invalid(_ detail: String) -> Problem { Problem(.invalidRequest, detail) }

    static func invalidRules(_ diagnostics: [Diagnostic]) -> Problem {
        let inOrder = diagnostics.inOrder
        let errors = inOrder.count { $0.severity == .error }
        return Problem(.invalidRules, errors == 1 ? "1 error; nothing changed" : "\(errors) errors; nothing changed", diagnostics: inOrder)
    }

    init(_ failure: StoreFailure) {
        switch failure {
        case .unavailable(let reason): self.init(.unavailable, reason, headers: [.retryAfter: "1"])
        case .refused(let reason): self.init(.internalError, "the store refused: \(reason)")
        }
    }

    var document: Document {
        var all: [Document.Member] = [
            .init("type", .string("urn:nodesphere:problem:" + kind.rawValue)), .init("title", .string(kind.title)),
            .init("status", .int(Int64(kind.status))), .init("detail", .string(detail)),
        ]
        if let diagnostics { all.append(.init("diagnostics", .array(diagnostics.map(\.document)))) }
        return .object(all + members)
    }

    var answer: Answer {
        Answer(status: kind.status, contentType: "application/problem+json", body: document.json, headers: headers)
    }
}
