-- The same request body and the same reading of the answer, to a server that does nothing.
dofile("common.lua")

function init(args)
   math.randomseed(tonumber(args[3]) + number)
   credential = credentials(args[1], number, tonumber(args[2]))[1]
end

function request()
   if began == math.huge then began = now() end
   return post("/noop", credential, claim_body(0))
end

function response(status, headers, body)
   if status ~= 200 then complain(status, body)
   elseif lease_in(body) then empty = empty + 1
   else count() end
end
