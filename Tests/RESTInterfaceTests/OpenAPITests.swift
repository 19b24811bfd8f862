import Foundation
import HTTPTypes
import RESTInterface
import Testing

@testable import RESTInterface

@Suite struct OpenAPITests {
    @Test func `The API's document has exactly the paths and methods that are served`() async throws {
        let file = URL(fileURLWithPath: #filePath).appending(path: "../../../docs/openapi.yaml").standardized
        var documented: [String: Set<String>] = [:]
        var path = ""
        for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n").prefix(while: { $0 != "components:" }) {
            let key = line.trimmingCharacters(in: .whitespaces).prefix { $0 != ":" }
            if line.hasPrefix("  /") {
                path = String(key)
                documented[path] = []
            } else if ["    get:", "    put:", "    patch:", "    post:", "    delete:"].contains(line) {
                documented[path]?.insert(key.uppercased())
            }
        }
        var served: [String: Set<String>] = [:]
        for route in await FakeOperations().responder.table.routes {
            served[route.path] = Set(route.methods.map(\.method.rawValue))
        }
        #expect(documented == served)
    }
}

extension Route {
    fileprivate var path: String {
        parts.map { part in
            switch part {
            case .literal(let text): "/" + text
            case .parameter(let name): "/{\(name)}"
            }
        }.joined()
    }
}
