import HTTPTypes
import RESTInterface
import RuleEngine
import Testing

@Suite struct GroupRoutesTests {
    static let yaml = "name: house\nrules: []\n"

    @Test func `A group is made with 201, replaced with 200, read as YAML and removed`() async throws {
        let server = await FakeOperations()
        let path = "/api/v1/groups/house"
        #expect(try await server.ask(.put, path, Self.yaml).status == 201)
        #expect(try await server.ask(.put, path, Self.yaml + "# again\n").status == 200)
        let read = try await server.get(path)
        #expect(read.status == 200)
        #expect(read.headers[.contentType] == "application/yaml")
        #expect(read.text == Self.yaml + "# again\n")
        #expect(try await server.ask(.delete, path).status == 204)
        expectProblem(try await server.get(path), 404, "not-found", saying: "'house'")
        expectProblem(try await server.ask(.delete, path), 404, "not-found", saying: "'house'")
    }

    @Test func `Groups are listed with text and file`() async throws {
        let server = await FakeOperations { fake in
            fake.groupTexts = ["b": .init(name: "b", yaml: "B", file: nil), "a": .init(name: "a", yaml: "A", file: "rules/a.yaml")]
        }
        #expect(
            try await server.get("/api/v1/groups").document == [
                "items": [["name": "a", "file": "rules/a.yaml", "yaml": "A"], ["name": "b", "file": .null, "yaml": "B"]], "next": .null,
            ])
    }

    @Test(arguments: [HTTPMethodName.put, .delete])
    func `A group from a file is read-only, and the answer names the file`(method: HTTPMethodName) async throws {
        let server = await FakeOperations { $0.groupTexts = ["cold": .init(name: "cold", yaml: "", file: "rules/cold.yaml")] }
        let reply = try await server.ask(method.method, "/api/v1/groups/cold", method == .put ? Self.yaml : nil)
        expectProblem(reply, 409, "read-only", saying: "rules/cold.yaml")
        #expect(reply.document["file"] == "rules/cold.yaml")
        #expect(await server.groupTexts["cold"] != nil)
    }

    @Test func `A text with errors is 422 with diagnostics in order, and nothing changes`() async throws {
        let server = await FakeOperations()
        let reply = try await server.ask(.put, "/api/v1/groups/house", "name: house\nbad\nbad\n")
        expectProblem(reply, 422, "invalid-rules", saying: "2 errors")
        let diagnostics = reply.document["diagnostics"]?.array ?? []
        #expect(diagnostics.compactMap { $0["line"]?.int } == [2, 3])
        #expect(
            diagnostics.first == [
                "file": "house", "line": 2, "column": 1, "severity": "error", "code": "bad-line", "message": "no 'bad' here", "hint": .null,
            ])
        #expect(await server.groupTexts.isEmpty)
    }

    @Test func `A dry run checks and keeps nothing`() async throws {
        let server = await FakeOperations()
        #expect(try await server.ask(.put, "/api/v1/groups/house?dry_run=true", Self.yaml).status == 200)
        #expect(await server.groupTexts.isEmpty)
        #expect(await server.checkedGroups == ["house"])
        expectProblem(try await server.ask(.put, "/api/v1/groups/house?dry_run=true", "bad"), 422, "invalid-rules")
        #expect(try await server.ask(.put, "/api/v1/groups/house?dry_run=false", Self.yaml).status == 201)
    }

    @Test(arguments: ["?dry_run=yes", "?dryrun=true", "?dry_run=true&dry_run=false"])
    func `A dry run that is asked for in another way changes nothing`(query: String) async throws {
        let server = await FakeOperations()
        expectProblem(try await server.ask(.put, "/api/v1/groups/house" + query, Self.yaml), 400, "invalid-request", saying: "dry")
        #expect(await server.groupTexts.isEmpty)
    }

    @Test func `Warnings come with the answer`() async throws {
        let warning = Diagnostic(.warning, code: "doubtful", "sure?", at: .init(file: "house", line: 1, column: 1))
        let server = await FakeOperations { $0.warnings = [warning] }
        let reply = try await server.ask(.put, "/api/v1/groups/house", Self.yaml)
        #expect(reply.status == 201)
        #expect(reply.document == ["name": "house", "diagnostics": [warning.document]])
    }

    @Test func `A group may have 4 MiB and no more`() async throws {
        let server = await FakeOperations()
        let most = String(repeating: "#", count: 4 << 20)
        #expect(try await server.ask(.put, "/api/v1/groups/house", most).status == 201)
        expectProblem(try await server.ask(.put, "/api/v1/groups/house", most + "#"), 413, "too-large", saying: "4194304")
    }

    @Test(arguments: ["application/yaml", "application/yaml; charset=utf-8", "text/yaml", "Application/X-YAML"])
    func `YAML has several media types`(type: String) async throws {
        #expect(try await (await FakeOperations()).ask(.put, "/api/v1/groups/house", Self.yaml, type: type).status == 201)
    }
}
