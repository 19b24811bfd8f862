import Hummingbird
import RuleEngine

/// What a route answers: a status, and a text with its media type.
struct Answer: Sendable, Equatable {
    var status: Int
    var contentType: String?
    var body: String
    var headers: HTTPFields = [:]

    init(status: Int, contentType: String?, body: String, headers: HTTPFields = [:]) {
        self.status = status
        self.contentType = contentType
        self.body = body
        self.headers = headers
    }

    static func json(_ document: Document, status: Int = 200, headers: HTTPFields = [:]) -> Answer {
        Answer(status: status, contentType: "application/json", body: document.json, headers: headers)
    }

    static let noContent = Answer(status: 204, contentType: nil, body: "")

    /// - Parameter isHead: sends the headers that GET would send, and no body (RFC 9110 §9.3.2).
    func response(isHead: Bool) -> Response {
        var fields = headers
        if let contentType { fields[.contentType] = contentType }
        fields[.cacheControl] = "no-store"
        fields[.xContentTypeOptions] = "nosniff"
        let response =
            status == 204
            ? Response(status: .noContent, headers: fields)
            : Response(status: .init(code: status), headers: fields, body: .init(byteBuffer: ByteBuffer(string: body)))
        return isHead ? response.createHeadResponse() : response
    }
}
