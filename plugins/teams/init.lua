-- https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook and
-- https://adaptivecards.io/explorer/AdaptiveCard.html

-- A message may have 28 KB in all; a character may have four bytes, and six when JSON escapes it.
local max_title, max_text, max_alerts, max_blocks = 200, 3000, 20, 60

local function line(alert)
  return (alert.status == "firing" and "🔴 " or "🟢 ") .. text.summary(alert)
end

local function colour(notification)
  if notification.status ~= "firing" then return "Good" end
  local severity = text.severity(notification)
  return (severity == "warning" or severity == "info") and "Warning" or "Attention"
end

local function actions(notification)
  local runbook = (notification.commonAnnotations or {}).runbook_url
  if runbook and string.find(runbook, "^https?://") then return { { type = "Action.OpenUrl", title = "Runbook", url = runbook } } end
end

-- A text block a line: Markdown joins lines that one line break parts.
local function blocks(words)
  local list, start = {}, 1
  while start <= #words + 1 do
    local stop = #list < max_blocks and string.find(words, "\n", start, true) or #words + 1
    if stop > start then list[#list + 1] = { type = "TextBlock", text = string.sub(words, start, stop - 1), wrap = true } end
    start = stop + 1
  end
  return list
end

local function card(notification, config)
  local body = blocks(text.truncate(config.text or text.lines(notification, max_alerts, line), max_text))
  table.insert(body, 1, {
    type = "TextBlock", text = text.truncate(config.title or text.title(notification), max_title),
    weight = "Bolder", size = "Medium", wrap = true, color = colour(notification),
  })
  return {
    ["$schema"] = "http://adaptivecards.io/schemas/adaptive-card.json", type = "AdaptiveCard", version = "1.4", body = body,
    actions = actions(notification), msteams = { width = "Full" },
  }
end

-- A connector of the old kind answers 200 also when Teams refused, and says so in the body.
local function outcome(response, problem)
  local result, reason, after = channel.outcome(response, problem)
  if result == "ok" and response.body then
    if string.find(response.body, "HTTP error 429", 1, true) then return "retry", "Teams is busy: 429" end
    local status = string.match(response.body, "HTTP error (%d+)")
    if status then return "reject", "Teams refused it: " .. status end
  end
  return result, reason, after
end

plugin {
  channels = {
    teams = function(notification, config)
      return outcome(http.post(config.webhook_url, {
        headers = { ["Content-Type"] = "application/json" },
        body = json.encode({
          type = "message",
          attachments = { { contentType = "application/vnd.microsoft.card.adaptive", content = card(notification, config) } },
        }),
      }))
    end,
  },
}
