import HTTPTypes
import RESTInterface
import RuleEngine
import Testing

@Suite struct ProfileAndVariableRoutesTests {
    @Test func `A profile is made, replaced, read, listed and removed`() async throws {
        let server = await FakeOperations()
        let path = "/api/v1/profiles/cold%20chain"
        let made = try await server.ask(.put, path, #"{"config": {"max": 5}}"#)
        #expect(made.status == 201)
        #expect(made.headers[.location] == path)
        #expect(made.document == ["name": "cold chain", "config": ["max": 5]])
        #expect(try await server.ask(.put, path, #"{"name": "cold chain"}"#).status == 200)
        #expect(try await server.get(path).document == ["name": "cold chain", "config": [:]])
        #expect(try await server.get("/api/v1/profiles").document == ["items": [["name": "cold chain", "config": [:]]], "next": .null])
        #expect(try await server.ask(.delete, path).status == 204)
        expectProblem(try await server.get(path), 404, "not-found", saying: "'cold chain'")
        expectProblem(try await server.ask(.delete, path), 404, "not-found")
    }

    @Test(arguments: [
        (#"{"config": 1}"#, "'config' must be an object"), (#"{"name": "q"}"#, "'name' must be"),
        (#"{"labels": {}}"#, "unknown member 'labels'"),
    ])
    func `A profile that is not of the form is refused`(body: String, says: String) async throws {
        let server = await FakeOperations()
        expectProblem(try await server.ask(.put, "/api/v1/profiles/p", body), 400, "invalid-request", saying: says)
        #expect(await server.profileRecords.isEmpty)
    }

    @Test(arguments: ["true", "7", "1.5", "\"x\"", "null", "[1,2]", #"{"a":{"b":1}}"#])
    func `A variable may have any value`(value: String) async throws {
        let server = await FakeOperations()
        let made = try await server.ask(.put, "/api/v1/vars/mode", #"{"value": \#(value)}"#)
        #expect(made.status == 201)
        #expect(made.headers[.location] == "/api/v1/vars/mode")
        let item: Document = ["name": "mode", "value": try Document(json: value)]
        #expect(made.document == item)
        #expect(try await server.ask(.put, "/api/v1/vars/mode", #"{"name": "mode", "value": \#(value)}"#).status == 200)
        #expect(try await server.get("/api/v1/vars/mode").document == item)
        #expect(try await server.get("/api/v1/vars").document == ["items": [item], "next": .null])
        #expect(try await server.ask(.delete, "/api/v1/vars/mode").status == 204)
        expectProblem(try await server.get("/api/v1/vars/mode"), 404, "not-found", saying: "'mode'")
        expectProblem(try await server.ask(.delete, "/api/v1/vars/mode"), 404, "not-found")
    }

    @Test(arguments: [
        ("{}", "'value' is missing"), (#"{"val": 1}"#, "unknown member 'val'"), (#"{"value": 1, "name": "n"}"#, "'name' must be"),
    ])
    func `A variable that is not of the form is refused`(body: String, says: String) async throws {
        let server = await FakeOperations()
        expectProblem(try await server.ask(.put, "/api/v1/vars/mode", body), 400, "invalid-request", saying: says)
        #expect(await server.values.isEmpty)
    }
}
